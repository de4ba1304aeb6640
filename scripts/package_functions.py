"""Packages every Lambda function of `functions/` with what it imports: `build/functions/<platform>/<module>.zip`.

    package_functions.py             for this machine's platform, `here`: what the embedded cloud runs
    package_functions.py --for aws   for Lambda's own platform, `aws`

A function is a module with a `handler`. Its libraries stand in `LIBRARIES`, at the versions of requirements.txt; boto3
comes with the runtime. The same sources give the same bytes, so that `pulumi up` shows no difference where there is
none; an archive whose sources did not change is not built again.
"""

import argparse
import ast
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ARCHIVES = ROOT / "build" / "functions"

LIBRARIES: dict[str, tuple[str, ...]] = {
    "registrar": ("cryptography",),
    "ingest": ("arro3-core", "arro3-io", "cbor2", "zstandard"),
    "authority_expiry": ("cryptography",),
    "route_sweep": ("tenacity",),
}
"""What a function needs beside the standard library and boto3."""
OURS = ("functions", "protocol")
"""Our packages every function may import (the import layers of pyproject.toml)."""
ROUTING_CORE = ("fleet/__init__.py", "fleet/errors.py", "fleet/routing")
MORE_OF_OURS: dict[str, tuple[str, ...]] = {"route_sweep": ROUTING_CORE}
"""What else of ours a function carries: files, and folders with everything below (docs/adr/0007)."""

LAMBDA_WHEELS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
"""Whose C library is not newer than that of Amazon Linux 2023, 2.34; pip wants each by its name."""
LAMBDA_PLATFORM = (
    *(part for wheels in LAMBDA_WHEELS for part in ("--platform", wheels)),
    *("--python-version", "3.13", "--implementation", "cp"),
)
"""Lambda's python3.13 on x86_64, as `components.function` asks for it."""
FIXED_TIME = (1980, 1, 1, 0, 0, 0)
"""The earliest time a zip archive can say."""
FILE_MODE = 0o100644 << 16
"""A regular file anyone may read: Lambda runs code as a user of its own."""


def main() -> int:
    """Build what is out of date; print one line an archive."""
    parser = argparse.ArgumentParser(description="Package the Lambda functions.")
    parser.add_argument("--for", dest="target", choices=("here", "aws"), default="here", help="the platform (here)")
    target = str(parser.parse_args().target)
    functions = find_functions(ROOT / "functions")
    if unknown := functions ^ LIBRARIES.keys():
        print(f"scripts/package_functions.py: LIBRARIES and functions/ differ in: {', '.join(sorted(unknown))}")
        return 2
    pins = read_pins(ROOT / "requirements.txt")
    (ARCHIVES / target).mkdir(parents=True, exist_ok=True)
    for name in sorted(functions):
        requirements = [f"{library}=={pins[library]}" for library in LIBRARIES[name]]
        built = package(name, requirements, target)
        archive = ARCHIVES / target / f"{name}.zip"
        print(f"{archive.relative_to(ROOT)}: {archive.stat().st_size // 1024} KiB{'' if built else ', up to date'}")
    return 0


def find_functions(folder: Path) -> set[str]:
    """The modules in `folder` that define `handler`, found without importing them."""
    return {path.stem for path in folder.glob("*.py") if _defines_handler(ast.parse(path.read_text(encoding="utf-8")))}


def _defines_handler(module: ast.Module) -> bool:
    return any(isinstance(node, ast.FunctionDef) and node.name == "handler" for node in module.body)


def read_pins(requirements: Path) -> dict[str, str]:
    """Library to exact version."""
    return dict(re.findall(r"^([A-Za-z0-9._-]+)==(\S+)$", requirements.read_text(encoding="utf-8"), flags=re.MULTILINE))


def package(name: str, requirements: list[str], target: str) -> bool:
    """Build one archive unless it is up to date; whether it was built."""
    sources = sorted(_sources(*OURS, *MORE_OF_OURS.get(name, ())))
    archive, stamp = ARCHIVES / target / f"{name}.zip", ARCHIVES / target / f"{name}.sources"
    digest = _digest(sources, requirements, target)
    if archive.exists() and stamp.exists() and stamp.read_text() == digest + _file_digest(archive):
        return False
    with tempfile.TemporaryDirectory() as scratch:
        if requirements:
            _install(requirements, Path(scratch), target)
        entries = {path.relative_to(ROOT).as_posix(): path for path in sources}
        entries |= {path.relative_to(scratch).as_posix(): path for path in _libraries(Path(scratch))}
        partial = archive.with_suffix(".partial")
        _write_archive(partial, entries)
    partial.replace(archive)
    stamp.write_text(digest + _file_digest(archive))
    return True


def _sources(*parts: str) -> set[Path]:
    places = [ROOT / part for part in parts]
    return {path for place in places for path in ([place] if place.is_file() else place.rglob("*.py"))}


def _digest(sources: list[Path], requirements: list[str], target: str) -> str:
    digest = hashlib.sha256(repr((requirements, target, sys.version_info[:2])).encode())
    for path in (Path(__file__), *sources):
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _file_digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _install(requirements: list[str], folder: Path, target: str) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    command += ["--only-binary=:all:", "--target", str(folder), *(LAMBDA_PLATFORM if target == "aws" else ())]
    finished = subprocess.run([*command, *requirements], capture_output=True, text=True, check=False)
    if finished.returncode:
        sys.exit(f"pip could not fetch {', '.join(requirements)}:\n{finished.stderr}")


def _libraries(folder: Path) -> list[Path]:
    """What was installed, without what Lambda never reads: scripts, caches, records of the installation."""
    unwanted = {"__pycache__", "bin"}
    found = (path for path in folder.rglob("*") if path.is_file() and not unwanted & set(path.parts))
    return [path for path in found if not (path.parent.name.endswith(".dist-info") and path.name != "METADATA")]


def _write_archive(path: Path, entries: dict[str, Path]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(entries):
            info = zipfile.ZipInfo(name, FIXED_TIME)
            info.external_attr = FILE_MODE
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, entries[name].read_bytes())
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    sys.exit(main())
