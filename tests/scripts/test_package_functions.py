"""The archives: whole, the same bytes for the same sources, and nothing in them but what runs."""

import importlib.util
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

from components.function import RUNTIME as RUNTIME_OF_FUNCTIONS
from local.program import PROJECT_ROOT

AMAZON_LINUX_2023 = (2, 34)
"""Its C library (AL2023 release notes)."""
ALONE = """
import sys

unpacked, runtime, name = sys.argv[1:]
sys.path = [unpacked, runtime] + [entry for entry in sys.path if "site-packages" not in entry]
function = __import__(f"functions.{name}", fromlist=["handler"])
assert callable(function.handler)
assert function.__file__.startswith(unpacked)
"""


RUNTIME = ("boto3", "botocore", "dateutil", "jmespath", "s3transfer", "six.py", "urllib3")
"""boto3 and what it stands on, which Lambda's runtime brings."""


@pytest.fixture(scope="session")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to import from that holds what Lambda's runtime brings, and nothing else."""
    folder = tmp_path_factory.mktemp("runtime")
    for name in RUNTIME:
        spec = importlib.util.find_spec(name.removesuffix(".py"))
        assert spec is not None
        assert spec.origin is not None
        origin = Path(spec.origin)
        (folder / name).symlink_to(origin if name.endswith(".py") else origin.parent)
    return folder


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
    for platform in ("here", "aws"):
        (tmp_path / platform).mkdir()
    return module


def requirements(packaging: ModuleType, name: str) -> list[str]:
    pins = packaging.read_pins(PROJECT_ROOT / "requirements.txt")
    return [f"{library}=={pins[library]}" for library in packaging.LIBRARIES[name]]


def test_every_function_with_a_handler_is_packaged(packaging: ModuleType) -> None:
    assert packaging.find_functions(PROJECT_ROOT / "functions") == packaging.LIBRARIES.keys()


@pytest.mark.parametrize("name", ["authority_expiry", "ingest", "registrar", "route_sweep"])
def test_an_archive_is_imported_with_nothing_beside_it_but_boto3(
    packaging: ModuleType, tmp_path: Path, runtime: Path, name: str
) -> None:
    packaging.package(name, requirements(packaging, name), "here")
    unpacked = tmp_path / "unpacked"
    zipfile.ZipFile(tmp_path / "here" / f"{name}.zip").extractall(unpacked)
    done = subprocess.run(
        [sys.executable, "-I", "-c", ALONE, str(unpacked), str(runtime), name],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_only_the_sweep_carries_the_routing_core_and_nothing_else_of_fleet(
    packaging: ModuleType, tmp_path: Path
) -> None:
    packaging.package("route_sweep", [], "here")
    packaging.package("ingest", [], "here")
    swept = {
        name for name in zipfile.ZipFile(tmp_path / "here" / "route_sweep.zip").namelist() if name.startswith("fleet/")
    }
    assert {name for name in swept if not name.startswith("fleet/routing/")} == {"fleet/__init__.py", "fleet/errors.py"}
    assert "fleet/routing/sweep.py" in swept
    assert not [
        name for name in zipfile.ZipFile(tmp_path / "here" / "ingest.zip").namelist() if name.startswith("fleet/")
    ]


def test_a_change_of_the_routing_core_makes_the_sweeps_archive_anew(
    packaging: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "root"
    for part in ("functions", "protocol", "fleet"):
        shutil.copytree(PROJECT_ROOT / part, root / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(PROJECT_ROOT / "scripts", root / "scripts")
    monkeypatch.setattr(packaging, "ROOT", root)
    monkeypatch.setattr(packaging, "__file__", str(root / "scripts" / "package_functions.py"))
    assert packaging.package("route_sweep", [], "here")
    assert packaging.package("ingest", [], "here")
    (root / "fleet" / "routing" / "sweep.py").write_text("# changed\n", encoding="utf-8")
    assert packaging.package("route_sweep", [], "here"), "or an old sweep would be deployed"
    assert not packaging.package("ingest", [], "here")


def test_the_same_sources_give_the_same_bytes_and_are_not_packaged_again(packaging: ModuleType, tmp_path: Path) -> None:
    archive = tmp_path / "here" / "ingest.zip"
    wanted = requirements(packaging, "ingest")
    assert packaging.package("ingest", wanted, "here")
    first = archive.read_bytes()
    assert not packaging.package("ingest", wanted, "here"), "up to date"
    archive.write_bytes(first[:-1])
    assert packaging.package("ingest", wanted, "here"), "a damaged archive is made again"
    assert archive.read_bytes() == first


def test_an_archive_holds_no_caches_no_tests_and_no_code_of_other_layers(packaging: ModuleType, tmp_path: Path) -> None:
    packaging.package("authority_expiry", [], "here")
    names = zipfile.ZipFile(tmp_path / "here" / "authority_expiry.zip").namelist()
    assert {name.partition("/")[0] for name in names} == {"functions", "protocol"}
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]


def test_an_archive_for_lambda_has_libraries_for_its_python_and_its_c_library(
    packaging: ModuleType, tmp_path: Path
) -> None:
    """By the names of the wheels alone a library for another Python could hide; by those of its modules, none."""
    assert RUNTIME_OF_FUNCTIONS == "python3.13"
    for name in ("ingest", "registrar"):
        assert packaging.package(name, requirements(packaging, name), "aws")
        archive = zipfile.ZipFile(tmp_path / "aws" / f"{name}.zip")
        modules = [each for each in archive.namelist() if each.endswith(".so")]
        assert modules, "each of the two needs compiled ones"
        assert [each for each in modules if not re.search(r"(cpython-313-x86_64-linux-gnu|abi3)\.so$", each)] == []
        wanted = {
            tuple(map(int, version.split(b".")))
            for each in modules
            for version in re.findall(rb"GLIBC_(\d+\.\d+)", archive.read(each))
        }
        assert (2, 2) < max(wanted) <= AMAZON_LINUX_2023
