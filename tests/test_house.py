"""What holds for the whole house: who may import whom, and what may never be committed."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

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


def test_the_import_contracts_reject_a_device_that_knows_the_stacks(tmp_path: Path) -> None:
    for package in PACKAGES:
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    assert lint_imports(tmp_path).returncode == 0, "an empty house must pass"
    (tmp_path / "device" / "agent.py").write_text("import stacks\n")
    broken = lint_imports(tmp_path)
    assert broken.returncode == 1
    assert "device imports protocol only BROKEN" in broken.stdout


def test_no_private_key_and_no_access_key_is_committed() -> None:
    secret = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/]{20}|AKIA[0-9A-Z]{16}")
    guilty = [path.name for path in tracked_files() if secret.search(path.read_bytes())]
    assert guilty == []


def test_every_requirement_is_pinned_exactly() -> None:
    for name in ("requirements.txt", "requirements-dev.txt"):
        for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
            if line and not line.startswith(("#", "-r ")):
                assert re.fullmatch(r"[A-Za-z0-9._-]+(\[[a-z0-9,-]+\])?==[0-9][0-9A-Za-z.]*", line), line
