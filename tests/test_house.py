"""What holds for the whole house: who may import whom, and what may never be committed."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LINT = Path(sys.executable).parent / "lint-imports"
PACKAGES = ("stacks", "components", "functions", "provisioning", "fleet", "device", "local", "protocol")


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [LINT, "--config", "pyproject.toml", "--no-cache"], cwd=folder, capture_output=True, text=True, check=False
    )


def tracked_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def test_imports_only_go_down_the_list() -> None:
    result = lint_imports(ROOT)
    assert result.returncode == 0, result.stdout


ROUTING = "functions import protocol, the factory's pure core, and of fleet the routing core alone"
FORBIDDEN_IMPORTS = [
    ("device/new.py", "import stacks", "device imports protocol only"),
    ("functions/new.py", "import fleet.cli", ROUTING),
    ("functions/new.py", "from fleet.commands import telling", ROUTING),
    ("functions/new.py", "import fleet.gateway.policy", ROUTING),
    ("functions/new.py", "import fleet", ROUTING),
    ("functions/new.py", "import stacks.outputs", ROUTING),
    ("fleet/routing/sweep.py", "import fleet.gateway.policy", "the routing core knows nothing of the rest of fleet"),
    ("fleet/errors.py", "import fleet.routing.sweep", "the routing core knows nothing of the rest of fleet"),
    ("fleet/routing/sweep.py", "import stacks.outputs", "the routing core stands on protocol alone"),
    ("fleet/routing/sweep.py", "import provisioning.signer", "the routing core stands on protocol alone"),
    ("provisioning/signer.py", "import fleet.errors", "provisioning knows nothing of fleet"),
    ("protocol/topics.py", "import stacks", "protocol imports nothing of ours"),
    ("stacks/load.py", "import provisioning.signer", "stacks imports protocol only"),
    ("components/naming.py", "import functions.log", "components knows stacks and protocol only"),
    ("fleet/cli.py", "import local.cloud", "provisioning and fleet know the cloud only through stacks"),
    ("local/cloud.py", "import components.naming", "nothing but __main__ builds components"),
]
"""A file, a line in it, and the contract that it breaks."""


@pytest.fixture
def empty_house(tmp_path: Path) -> Path:
    """The project's modules without a line in them, and its contracts."""
    for path in tracked_files():
        name = path.relative_to(ROOT)
        if name.suffix == ".py" and name.parts[0] in PACKAGES:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text("")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.mark.parametrize(("file", "line", "contract"), FORBIDDEN_IMPORTS)
def test_each_import_contract_rejects_what_breaks_it(file: str, line: str, contract: str, empty_house: Path) -> None:
    (empty_house / file).write_text(f"{line}\n")
    broken = lint_imports(empty_house)
    assert broken.returncode == 1
    assert f"{contract} BROKEN" in " ".join(broken.stdout.split())


def test_no_import_contract_is_without_an_import_that_breaks_it() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    assert {each["name"] for each in contracts["contracts"]} == {contract for _, _, contract in FORBIDDEN_IMPORTS}


def test_a_function_may_sweep_with_the_code_of_fleet(empty_house: Path) -> None:
    (empty_house / "functions" / "new.py").write_text("import fleet.errors\nimport fleet.routing.sweep\n")
    result = lint_imports(empty_house)
    assert result.returncode == 0, result.stdout


def test_a_function_reaches_nothing_of_fleet_by_a_detour(empty_house: Path) -> None:
    (empty_house / "functions" / "new.py").write_text("import fleet.routing.sweep\n")
    (empty_house / "fleet" / "routing" / "sweep.py").write_text("import fleet.commands.telling\n")
    assert lint_imports(empty_house).returncode == 1


def test_no_private_key_and_no_access_key_is_committed() -> None:
    secret = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/]{20}|AKIA[0-9A-Z]{16}")
    guilty = [path.name for path in tracked_files() if secret.search(path.read_bytes())]
    assert guilty == []


def test_every_requirement_is_pinned_exactly() -> None:
    for name in ("requirements.txt", "requirements-dev.txt"):
        for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
            if line and not line.startswith(("#", "-r ")):
                assert re.fullmatch(r"[A-Za-z0-9._-]+(\[[a-z0-9,-]+\])?==[0-9][0-9A-Za-z.]*", line), line
