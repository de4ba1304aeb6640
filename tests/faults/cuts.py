"""Power cuts of one traced issuance (`tests.power`)."""

import shutil
from pathlib import Path

from tests.faults.bench import Bench
from tests.faults.works import issuance
from tests.power import TRACE, Disk
from tests.provisioning.factory import Factory

WORK = issuance()


def traced(bench: Bench, variant: str) -> tuple[Factory, Disk, Path]:
    """A factory in which one issuance was traced, and its disk before that."""
    factory = bench.factory()
    before, trace = Disk.of(factory.home), factory.home.with_suffix(".trace")
    ran = bench.run(factory, WORK.order(factory), strace=("-o", str(trace), *TRACE), variant=variant)
    assert ran.code == 0, ran.err
    return factory, before, trace


def as_left(factory: Factory, files: dict[str, bytes], to: Path) -> Factory:
    """A factory whose disk holds just that."""
    shutil.rmtree(to, ignore_errors=True)
    for name, content in files.items():
        path = to / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=(factory.home / name).stat().st_mode & 0o777 if (factory.home / name).exists() else 0o600)
        path.write_bytes(content)
    return Factory(to)
