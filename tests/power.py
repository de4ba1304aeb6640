"""Power cuts, from a trace: what a disk may hold at every moment of a process's life, and what was told until then.

`kill -9` keeps whatever the kernel had taken, so it cannot see a missing fdatasync. Here every write of a traced run is
replayed: at a cut, what a file was told to keep (fdatasync, fsync) is there, and of what came later all, nothing, or
any part by sectors. A name is there for sure once its folder was told to keep it.
"""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from random import Random

SECTOR_BYTES = 512
"""The least that a disk or a card writes whole."""
CALLS = "openat,write,pwrite64,fdatasync,fsync,ftruncate,rename,unlink,unlinkat,link,mkdir"
"""What changes a disk, of what Python and SQLite call here."""
TRACE = ("-y", "-s", "65536", "-e", f"trace={CALLS}")
"""Options for strace."""

_NAMING = frozenset({"openat", "rename", "unlink", "link", "mkdir"})
"""Calls whose strings are paths; whoever reads traces gives whole ones."""
_CALL = re.compile(rb"^(?:\d+ +)?(\w+)\((.*)\) += (-?\d+)")
_STRING = rb'"((?:[^"\\]|\\.)*)"'
_FD = rb"\d+<([^>]*)>"


@dataclass(frozen=True)
class Call:
    """One line of a trace made with `-y`."""

    name: str
    arguments: bytes
    result: int
    """Below zero where it failed."""

    @property
    def strings(self) -> list[bytes]:
        return [codecs.escape_decode(text)[0] for text in re.findall(_STRING, self.arguments)]

    @property
    def paths(self) -> list[Path]:
        """What it names, or what its descriptor is of."""
        if self.name in _NAMING:
            return [Path(text.decode(errors="replace")) for text in self.strings]
        opened = [
            codecs.escape_decode(text)[0].decode(errors="replace") for text in re.findall(_FD, self.arguments)[:1]
        ]
        if self.name == "unlinkat":
            return [Path(folder) / self.strings[0].decode(errors="replace") for folder in opened]
        return [Path(path) for path in opened]

    @property
    def last_number(self) -> int:
        """An offset or a length."""
        return int(self.arguments.rsplit(b",", 1)[-1])

    @property
    def is_told(self) -> bool:
        """Whether it writes to standard output."""
        return self.name == "write" and self.arguments.startswith(b"1<")

    @property
    def creates(self) -> bool:
        """Whether it opens a file that it would make."""
        return self.name == "openat" and b"O_CREAT" in self.arguments


@dataclass
class Inode:
    """What a file surely holds, and what was done to it since it was last told to keep that."""

    kept: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)
    """Where, and what; None cuts the file off there."""

    def now(self) -> bytearray:
        """What a reader sees."""
        content = bytearray(self.kept)
        for offset, data in self.pending:
            _do(content, offset, data)
        return content

    def after_a_cut(self, random: Random, share: float) -> bytes:
        """The content when each sector not yet kept made it with a probability of `share`."""
        content = bytearray(self.kept)
        for offset, data in self.pending:
            if data is None:
                if random.random() < share:
                    _do(content, offset, None)
                continue
            for start in range(0, len(data), SECTOR_BYTES):
                if random.random() < share:
                    _do(content, offset + start, data[start : start + SECTOR_BYTES])
        return bytes(content)


@dataclass
class Disk:
    """The files below one folder, by their path in it."""

    names: dict[str, Inode] = field(default_factory=dict)
    kept_names: dict[str, Inode] = field(default_factory=dict)
    """Those that a folder was told to keep."""

    @classmethod
    def of(cls, folder: Path) -> "Disk":
        """What is there, all of it kept."""
        files = {
            str(path.relative_to(folder)): Inode(bytearray(path.read_bytes()))
            for path in folder.rglob("*")
            if path.is_file()
        }
        return cls(dict(files), dict(files))

    def write(self, name: str, offset: int | None, data: bytes | None) -> None:
        """Put `data` there, at the end without an offset; None cuts the file off."""
        inode = self.names.setdefault(name, Inode())
        inode.pending.append((len(inode.now()) if offset is None else offset, data))

    def keep(self, name: str) -> None:
        """fsync or fdatasync, of a file or of a folder."""
        if name in self.names:
            inode = self.names[name]
            inode.kept, inode.pending = inode.now(), []
            return
        folder = PurePosixPath(name)
        here = {path: inode for path, inode in self.names.items() if PurePosixPath(path).parent == folder}
        others = {path: inode for path, inode in self.kept_names.items() if PurePosixPath(path).parent != folder}
        self.kept_names = others | here

    def waiting(self) -> set[str]:
        """The files whose content or name waits in the kernel."""
        renamed = {name for name, inode in self.names.items() if self.kept_names.get(name) is not inode}
        return renamed | {name for name, inode in self.names.items() if inode.pending}

    def after_a_cut(self, random: Random, share: float, *, are_names_kept: bool = True) -> dict[str, bytes]:
        """The files; without `are_names_kept`, only names that their folder was told to keep."""
        names = self.names if are_names_kept else self.kept_names
        return {name: inode.after_a_cut(random, share) for name, inode in names.items()}

    def do(self, call: Call, paths: list[str]) -> None:
        """One traced call on files below the folder; `paths` are theirs in it."""
        match call.name:
            case "openat" if call.creates:
                self.names.setdefault(paths[0], Inode())
                if b"O_TRUNC" in call.arguments:
                    self.write(paths[0], 0, None)
            case "write" | "pwrite64":
                offset = call.last_number if call.name == "pwrite64" else None
                self.write(paths[0], offset, call.strings[0][: call.result])
            case "ftruncate":
                self.write(paths[0], call.last_number, None)
            case "fsync" | "fdatasync":
                self.keep(paths[0])
            case "rename":
                self.names[paths[1]] = self.names.pop(paths[0])
            case "link":
                self.names[paths[1]] = self.names[paths[0]]
            case "unlink" | "unlinkat":
                self.names.pop(paths[0], None)


def parsed(trace: Path) -> Iterator[Call]:
    """Every call in a trace, those that failed too."""
    for line in trace.read_bytes().splitlines():
        found = _CALL.match(line)
        if found:
            yield Call(found[1].decode(), found[2], int(found[3]))


def replay(trace: Path, folder: Path, disk: Disk) -> Iterator[tuple[str, str]]:
    """Every call that changes `disk` or tells something, when it is done: its name, and what was told (or nothing)."""
    for call in parsed(trace):
        if call.result < 0:
            continue
        if call.is_told:
            yield call.name, call.strings[0].decode()
        elif call.paths and all(path.is_relative_to(folder) for path in call.paths):
            disk.do(call, [str(path.relative_to(folder)) for path in call.paths])
            yield call.name, ""


def _do(content: bytearray, offset: int, data: bytes | None) -> None:
    if data is None:
        del content[offset:]
        return
    content.extend(bytes(max(0, offset - len(content))))
    content[offset : offset + len(data)] = data
