"""The archives: whole, the same bytes for the same sources, and nothing in them but what runs."""

import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

from local.program import PROJECT_ROOT

ALONE = """
import sys, types

unpacked, name = sys.argv[1:]
sys.path = [unpacked] + [entry for entry in sys.path if "site-packages" not in entry]
# Lambda's runtime brings boto3. Here its names alone stand for it, so that nothing else can be found beside it.
for module, names in {"boto3": ["client"], "botocore": [], "botocore.config": ["Config"],
                      "botocore.exceptions": ["ClientError"]}.items():
    sys.modules[module] = types.ModuleType(module)
    for each in names:
        setattr(sys.modules[module], each, Exception)
function = __import__(f"functions.{name}", fromlist=["handler"])
assert callable(function.handler)
assert function.__file__.startswith(unpacked)
"""


def load() -> ModuleType:
    path = PROJECT_ROOT / "scripts" / "package_functions.py"
    spec = importlib.util.spec_from_file_location("package_functions", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def packaging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = load()
    monkeypatch.setattr(module, "ARCHIVES", tmp_path)
    return module


def requirements(packaging: ModuleType, name: str) -> list[str]:
    pins = packaging.read_pins(PROJECT_ROOT / "requirements.txt")
    return [f"{library}=={pins[library]}" for library in packaging.LIBRARIES[name]]


def test_every_function_with_a_handler_is_packaged(packaging: ModuleType) -> None:
    assert packaging.find_functions(PROJECT_ROOT / "functions") == packaging.LIBRARIES.keys()


@pytest.mark.parametrize("name", ["authority_expiry", "ingest", "registrar"])
def test_an_archive_runs_with_nothing_beside_it_but_boto3(packaging: ModuleType, tmp_path: Path, name: str) -> None:
    packaging.package(name, requirements(packaging, name), "here")
    unpacked = tmp_path / "unpacked"
    zipfile.ZipFile(tmp_path / f"{name}.zip").extractall(unpacked)
    done = subprocess.run(
        [sys.executable, "-I", "-c", ALONE, str(unpacked), name], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_same_sources_give_the_same_bytes_and_are_not_packaged_again(packaging: ModuleType, tmp_path: Path) -> None:
    archive = tmp_path / "ingest.zip"
    wanted = requirements(packaging, "ingest")
    assert packaging.package("ingest", wanted, "here")
    first = archive.read_bytes()
    assert not packaging.package("ingest", wanted, "here"), "up to date"
    archive.write_bytes(first[:-1])
    assert packaging.package("ingest", wanted, "here"), "a damaged archive is made again"
    assert archive.read_bytes() == first


def test_an_archive_holds_no_caches_no_tests_and_no_code_of_other_layers(packaging: ModuleType, tmp_path: Path) -> None:
    packaging.package("authority_expiry", [], "here")
    names = zipfile.ZipFile(tmp_path / "authority_expiry.zip").namelist()
    assert {name.partition("/")[0] for name in names} == {"functions", "protocol"}
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]
