"""A plan as a file: JSON lines that a reviewer can read, and a digest that says they are the ones reviewed.

First the header, then a line a change, sorted by device, and last `{"digest": …, "changes": …}`: the SHA-256 of every
byte before that line, and how many changes there are. Plans are streamed both ways, so their size is a matter of disk.
"""

import hashlib
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from fleet.errors import RefusedError
from fleet.routing.plan import Change, Header
from fleet.routing.plan_line import InvalidLineError, decode_change, decode_header, encode_change, encode_header

_LAST_LINE = re.compile(rb'\{"digest": "([0-9a-f]{64})", "changes": (0|[1-9][0-9]*)\}\n')
_WAY_OUT = "plan again, and keep the file as it was written"
_READ_BYTES = 1 << 20
_MODE = 0o644


class UnsortedPlanError(ValueError):
    """Changes that do not come sorted by device, each device once: whoever made them is wrong, not the user."""


@dataclass(frozen=True)
class Plan:
    """A plan file that was found whole."""

    header: Header
    digest: str
    """SHA-256 in lower-case hex: the plan's name."""
    count: int
    """Changes."""
    path: Path

    def changes(self) -> Iterator[Change]:
        """The changes, sorted by device, streamed; `RefusedError` if the file is not the one that was read."""
        with _opened(self.path) as file:
            if _verified(file, self.path) != (self.digest, self.count):
                raise RefusedError(f"{self.path}: is another plan than the one read a moment ago; begin again")
            file.readline()
            yield from _decoded(file, self.path, self.count)


def write_plan(path: Path, header: Header, changes: Iterable[Change]) -> Plan:
    """Write a plan to `path`, whole and on the disk, or not at all: an error of `changes` leaves what was there."""
    digest = hashlib.sha256()
    count = 0
    with _durably(path) as file:

        def put(line: str) -> None:
            data = line.encode("ascii") + b"\n"
            digest.update(data)
            file.write(data)

        put(encode_header(header))
        last = ""
        for change in changes:
            if change.device <= last:
                raise UnsortedPlanError(f"device {change.device} comes after {last}")
            put(encode_change(change))
            last = change.device
            count += 1
        file.write(_last_line(digest.hexdigest(), count))
    return Plan(header, digest.hexdigest(), count, path)


def read_plan(path: Path) -> Plan:
    """The plan in `path`, every line of it checked; `RefusedError` names file and line of what is wrong."""
    with _opened(path) as file:
        digest, count = _verified(file, path)
        try:
            header = decode_header(file.readline())
        except InvalidLineError as error:
            raise _refusal(path, 1, str(error)) from error
        for _ in _decoded(file, path, count):
            pass
    return Plan(header, digest, count, path)


def _last_line(digest: str, count: int) -> bytes:
    return f'{{"digest": "{digest}", "changes": {count}}}\n'.encode("ascii")


def _verified(file: BinaryIO, path: Path) -> tuple[str, int]:
    """Digest and number of changes that the last line states, which the bytes before it bear out. Rewinds."""
    digest = hashlib.sha256()
    lines, last = 0, b""
    for line in file:
        digest.update(last)
        last = line
        lines += 1
    file.seek(0)
    stated = _LAST_LINE.fullmatch(last)
    if stated is None or lines < 2:
        raise _refusal(path, max(lines, 1), "does not end with a plan's digest: it is cut short, or no plan")
    if stated[1].decode("ascii") != digest.hexdigest():
        raise _refusal(path, lines, f"its digest is {digest.hexdigest()}, not the one stated: a byte was changed")
    if int(stated[2]) != lines - 2:
        raise _refusal(path, lines, f"has {lines - 2} changes, not the {int(stated[2])} stated")
    return digest.hexdigest(), lines - 2


def _decoded(file: BinaryIO, path: Path, count: int) -> Iterator[Change]:
    last = ""
    for number in range(2, count + 2):
        try:
            change = decode_change(file.readline())
        except InvalidLineError as error:
            raise _refusal(path, number, str(error)) from error
        if change.device <= last:
            raise _refusal(path, number, f"device {change.device} comes after {last}, and changes are sorted by device")
        yield change
        last = change.device


def _refusal(path: Path, line: int, rule: str) -> RefusedError:
    return RefusedError(f"{path}:{line}: {rule}; {_WAY_OUT}")


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        file = path.open("rb", buffering=_READ_BYTES)
    except OSError as error:
        raise RefusedError(
            f"{path}: cannot be read ({error.strerror}); give the file that `route plan` wrote"
        ) from error
    with file:
        yield file


@contextmanager
def _durably(path: Path) -> Iterator[BinaryIO]:
    """A file that takes the place of `path` once it is whole and on the disk, its name too."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)
    try:
        with open(descriptor, "wb", buffering=_READ_BYTES) as file:  # noqa: PTH123  # a descriptor is no path
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
