"""Runs of the buffer that are traced, and what they promised."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.power import Disk
from tests.power import replay as replay_calls

ROOT = Path(__file__).resolve().parents[3]


def run(folder: Path, *, total_bytes: int, steps: int, variant: str = "sound", strace: tuple[str, ...] = ()) -> str:
    """The output of one `appending` process, under strace when options for it are given."""
    command = [
        sys.executable,
        "-m",
        "tests.device.buffer.appending",
        str(folder),
        str(total_bytes),
        str(steps),
        variant,
    ]
    traced = ["strace", "-qq", "-o", *strace, *command] if strace else command
    return subprocess.run(traced, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120).stdout


@dataclass
class Promises:
    """What the process said until now."""

    durable: set[int] = field(default_factory=set)
    delivered: int = -1
    epoch: int = -1

    def hear(self, line: str) -> None:
        word, *numbers = line.split()
        if word == "durable":
            first, count = map(int, numbers)
            self.durable |= set(range(first, first + count))
        elif word == "delivered":
            self.delivered = int(numbers[0])
        elif word == "epoch":
            self.epoch = int(numbers[0])

    @property
    def owed(self) -> set[int]:
        """What must still come out."""
        return {sequence for sequence in self.durable if sequence > self.delivered}


def replay(trace: Path, folder: Path) -> Iterator[tuple[str, Disk, Promises]]:
    """Every call that changes the disk or tells something: its name, the disk and the promises after it."""
    disk, promises = Disk(), Promises()
    for call, told in replay_calls(trace, folder, disk):
        if told:
            promises.hear(told.strip())
        yield call, disk, promises
