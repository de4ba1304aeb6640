"""A whole batch by its own command: its cost beside OpenSSL, whether it keeps its pace, and how much memory it takes.

The command reads a file, checks it, makes keys, issues, writes and reports, in as many processes as there are cores.
Its pace is read from the ledger, which says when each certificate was recorded; its memory from proc(5), while it runs.
"""

import csv
import os
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from benchmarks.issuing import GENERATED_LIMIT, UNIT, openssl_limit, request_of
from benchmarks.measure import Clock, Result, compared
from device.simulator.memory import peak_kib
from provisioning.bulk.batch import ALONE
from provisioning.ledger.ledger import Ledger

SIZES = (10_000, 100_000)
"""Rows. A million takes four minutes (docs/benchmarks.md); what grows with a batch has grown by ten here."""
REQUESTS = 22_000
"""Rows of a file that is only checked; each wants a key of its own, which takes longer than to check it."""
BESIDE = ALONE + 1
"""Rows of the shortest file that several processes check: what it takes is taken off, with their start."""
CHECKED_A_SECOND = 1_000_000 / 60
"""A file of the largest size is checked within a minute."""
MAX_MIB = 300.0
"""What each process of a batch may take, however long the file is."""
SHARE = 5
"""The first and the last fifth of a batch are compared."""
LOOK_SECONDS = 0.1
_KIB_IN_MIB = 1024
_CEREMONY = """\
environment: dev
root: { common_name: Benchmark Root CA, organization: Benchmark, key: file, lifetime_years: 30 }
models:
  fl100: { lifetime_years: 15 }
  fl50: { key_made: factory, lifetime_years: 15 }
lines:
  bench-a: { authority: line-a, models: [fl100, fl50] }
authorities:
  line-a: { common_name: Flotilla Dev Line A Issuing CA, key: file, lifetime_years: 20, path_length: 0 }
"""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One command."""

    seconds: float
    peak_mib: float
    """Of the process that had most."""


@dataclass(frozen=True)
class Place:
    """A factory after its ceremony."""

    home: Path

    @property
    def factory(self) -> Path:
        """Its folder."""
        return self.home / "factory"

    @classmethod
    def opened(cls, home: Path) -> "Place":
        """With an authority whose key is a file."""
        place = cls(home)
        ceremony = home / "ceremony.yaml"
        ceremony.write_text(_CEREMONY, encoding="utf-8")
        place.run("ceremony", ceremony, "--factory", place.factory, "--out", home / "authorities")
        return place

    def batch(self, file: Path, *more: str, model: str) -> Run:
        """`batch FILE`, to its end."""
        where = (
            "--factory",
            self.factory,
            "--authorities",
            self.home / "authorities",
            "--out",
            file.with_suffix(".out"),
        )
        return self.run("batch", file, "--stack", "dev", *where, "--model", model, "--authority", "line-a", *more)

    def run(self, *arguments: str | Path) -> Run:
        """A command of `python -m provisioning`; `RuntimeError` with what it said when it fails."""
        told = self.home / "told"
        with told.open("wb") as out:
            began = time.perf_counter()
            running = subprocess.Popen(
                [sys.executable, "-m", "provisioning", *map(str, arguments)], stdout=out, stderr=subprocess.STDOUT
            )
            peak = 0
            while running.poll() is None:
                peak = max(peak, *map(_peak_kib, _with_children(running.pid)))
                time.sleep(LOOK_SECONDS)
            seconds = time.perf_counter() - began
        if running.returncode:
            raise RuntimeError(f"{arguments[0]}: {told.read_text(encoding='utf-8')}")
        return Run(seconds=seconds, peak_mib=peak / _KIB_IN_MIB)

    def pace(self) -> tuple[float, float]:
        """Certificates a second in the first share of the ledger, and in the last."""
        with Ledger.open(self.factory, "dev") as ledger:
            moments = [at for (at,) in ledger.connection.execute("SELECT at FROM certificate ORDER BY at")]
        share = len(moments) // SHARE
        first, last = moments[:share], moments[-share:]
        return (a_second(first), a_second(last))


def results(_clock: Clock) -> Iterator[Result]:
    """Of a batch whose keys are made here, in two sizes, and of one with requests that is checked."""
    limit = (os.cpu_count() or 1) * openssl_limit(time.process_time).of_generated
    with tempfile.TemporaryDirectory() as folder:
        runs = {size: _issued(Place.opened(_made(Path(folder) / f"{size}")), size) for size in SIZES}
        place = Place.opened(_made(Path(folder) / "checked"))
        seconds = _checked(place, REQUESTS).seconds - _checked(place, BESIDE).seconds
    (small, _), (large, (first, last)) = (runs[size] for size in SIZES)
    name = f"batch of {SIZES[-1]:,}"
    yield compared(
        f"{name}, whole", SIZES[-1] / large.seconds, UNIT, limit=limit, against=f"all cores of {GENERATED_LIMIT}"
    )
    yield compared(f"{name}, last fifth", last, UNIT, limit=first, against="its first fifth")
    yield compared(f"{name}: peak", large.peak_mib, "MiB", limit=MAX_MIB, against="300 MiB a process")
    yield compared(f"{name}: peak beside", large.peak_mib, "MiB", limit=small.peak_mib, against=f"one of {SIZES[0]:,}")
    yield compared(
        f"check {REQUESTS:,} requests",
        REQUESTS / seconds,
        "rows/s",
        limit=CHECKED_A_SECOND,
        against="1,000,000 a minute",
    )


def _issued(place: Place, size: int) -> tuple[Run, tuple[float, float]]:
    file = written(place, ["device"], ([f"device{number}"] for number in range(size)))
    return place.batch(file, model="fl50"), place.pace()


def _checked(place: Place, size: int) -> Run:
    file = written(place, ["device", "csr"], (_row(f"device{number}") for number in range(size)))
    return place.batch(file, "--check", model="fl100")


def _row(name: str) -> Sequence[str]:
    _, pem = request_of(name)
    return name, b64encode(x509.load_pem_x509_csr(pem).public_bytes(Encoding.DER)).decode()


def written(place: Place, header: Sequence[str], rows: Iterator[Sequence[str]]) -> Path:
    """The order, as CSV."""
    path = place.home / "order.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
    return path


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def a_second(moments: Sequence[int]) -> float:
    """Of moments in microseconds, ascending."""
    return (len(moments) - 1) / ((moments[-1] - moments[0]) / 1e6)


def _with_children(process: int) -> list[int]:
    """Itself, and all that it started and that still run."""
    try:
        said = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii")
    except OSError:
        return []
    return [process, *(each for child in said.split() for each in _with_children(int(child)))]


def _peak_kib(process: int) -> int:
    """The most it had so far; 0 when it has ended."""
    try:
        return peak_kib(process)
    except OSError:
        return 0
