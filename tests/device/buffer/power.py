"""Power cuts, from a trace: what flash may hold at every moment of a process's life, and what it promised until then.

`kill -9` keeps whatever the kernel had taken, so it cannot see a missing fdatasync. Here every write of a traced run is
replayed: at a cut, what a file was told to keep (fdatasync, fsync) is there, and of what came later all, nothing, or
any part by sectors. Renames and removals count as done when they return, as on a journalling file system.
"""

import codecs
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

SECTOR_BYTES = 512
"""The least that a disk or a card writes whole."""
ROOT = Path(__file__).resolve().parents[3]

_CALL = re.compile(rb"^(?:\d+ +)?(\w+)\((.*)\) += (-?\d+)")
_STRING = rb'"((?:[^"\\]|\\.)*)"'
_FD = rb"\d+<([^>]*)>"


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


@dataclass
class Disk:
    """The files of one folder: what each surely holds, and what was written since it was last told to keep."""

    kept: dict[str, bytearray] = field(default_factory=dict)
    pending: dict[str, list[tuple[int, bytes]]] = field(default_factory=dict)

    def write(self, name: str, offset: int | None, data: bytes) -> None:
        self.kept.setdefault(name, bytearray())
        writes = self.pending.setdefault(name, [])
        end = max([len(self.kept[name]), *(at + len(written) for at, written in writes)])
        writes.append((end if offset is None else offset, data))

    def keep(self, name: str) -> None:
        content = self.kept.setdefault(name, bytearray())
        for offset, data in self.pending.pop(name, []):
            _put(content, offset, data)

    def do(self, call: str, name: str, data: bytes, number: int) -> None:
        """One traced call on an open file; `number` is its last argument."""
        if call == "pwrite64":
            self.write(name, number, data)
        elif call == "write":
            self.write(name, None, data)
        else:
            self.keep(name)
        if call == "ftruncate":
            del self.kept[name][number:]

    def name(self, old: str, new: str | None = None) -> None:
        """A rename, or a removal."""
        content, writes = self.kept.pop(old, bytearray()), self.pending.pop(old, [])
        if new:
            self.kept[new], self.pending[new] = content, writes

    def after_a_cut(self, random: Random, share: float) -> dict[str, bytes]:
        """The files when each sector that was not yet kept made it with a probability of `share`."""
        files = {}
        for name, kept in self.kept.items():
            content = bytearray(kept)
            for offset, data in self.pending.get(name, []):
                for start in range(0, len(data), SECTOR_BYTES):
                    if random.random() < share:
                        _put(content, offset + start, data[start : start + SECTOR_BYTES])
            files[name] = bytes(content)
        return files


def replay(trace: Path, folder: Path) -> Iterator[tuple[str, Disk, Promises]]:
    """Every call that changes the disk or tells something: its name, the disk and the promises after it."""
    disk, promises = Disk(), Promises()
    for line in trace.read_bytes().splitlines():
        found = _CALL.match(line)
        if not found or int(found[3]) < 0:
            continue
        call, arguments = found[1].decode(), found[2]
        paths = [Path(codecs.escape_decode(text)[0].decode(errors="replace")) for text in re.findall(_FD, arguments)]
        strings = [codecs.escape_decode(text)[0] for text in re.findall(_STRING, arguments)]
        if call == "write" and arguments.startswith(b"1<"):
            promises.hear(strings[0].decode().strip())
        elif call in {"rename", "unlink"}:
            disk.name(*[Path(text.decode()).name for text in strings])
        elif not paths or paths[0].parent != folder:
            continue
        else:
            last = arguments.rsplit(b",", 1)[-1]
            disk.do(call, paths[0].name, strings[0] if strings else b"", int(last) if last.strip().isdigit() else 0)
        yield call, disk, promises


def _put(content: bytearray, offset: int, data: bytes) -> None:
    content.extend(bytes(max(0, offset - len(content))))
    content[offset : offset + len(data)] = data
