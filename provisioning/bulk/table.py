"""The file of a batch: CSV in UTF-8 with a header, one row a device.

`scan` reads it once from end to end and cuts it into parts of whole rows; whoever checks or issues a part reads its
bytes again, by itself.
"""

import csv
import hashlib
import io
import zlib
from array import array
from bisect import bisect_right
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from provisioning.bulk.duplicates import Seen
from provisioning.bulk.problems import SHOWN, Problem, Problems
from provisioning.errors import RefusedError, StationError

DEVICE, MODEL, AUTHORITY, CSR, CSR_FILE, REASON = "device", "model", "authority", "csr", "csr_file", "reason"
COLUMNS = (DEVICE, MODEL, AUTHORITY, CSR, CSR_FILE, REASON)
"""`csr`: a request, in PEM or as the Base64 of its DER. `csr_file`: the path of one, from the file's folder. Neither:
the factory makes the key, where the model lets it. `reason`: what an earlier batch said of the row; ignored."""
PART_ROWS = 1000
"""Rows that share their commits: 100 ms of work, a fifth of it in the ledger."""
MAX_ROWS = 1_000_000
"""What was measured; a larger order is two files."""
MAX_AUTHORITIES = 1000
"""Kept in memory, each with its signer; many times the lines of any factory that we know."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some rows that follow each other."""

    index: int
    offset: int
    """Bytes before it."""
    size: int
    """Bytes of it."""
    line: int
    """Its first line, counted from 1."""
    rows: int
    checksum: int
    """CRC-32: whether the file is still what was checked."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row, by column; what a row leaves out is empty."""

    line: int
    values: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Table:
    """A file that was read to its end."""

    path: Path
    columns: tuple[str, ...]
    rows: int
    digest: str
    """SHA-256 of the file, in hex."""
    authorities: frozenset[str]
    """Those that rows name."""
    parts: tuple[Part, ...]

    def rows_of(self, part: Part) -> list[Row]:
        """The rows of a part that have a field a column; `StationError` when the file was changed since."""
        with self.path.open("rb") as file:
            file.seek(part.offset)
            data = file.read(part.size)
        if zlib.crc32(data) != part.checksum:
            raise StationError(f"{self.path}: was changed while this ran; put it back, then run this again")
        rows, line = [], 0
        reader = csv.reader(io.StringIO(data.decode(), newline=""), strict=True)
        for values in reader:
            if len(values) == len(self.columns):
                rows.append(Row(part.line + line, dict(zip(self.columns, values, strict=True))))
            line = reader.line_num
        return rows

    def rows_at(self, lines: frozenset[int]) -> Iterator[Row]:
        """The rows that begin in `lines`, in order, wherever they are."""
        begins = [part.line for part in self.parts]
        for at in sorted({bisect_right(begins, line) - 1 for line in lines}):
            yield from (row for row in self.rows_of(self.parts[at]) if row.line in lines)


def scan(path: Path) -> tuple[Table, Problems]:
    """The file, and what is wrong with its shape: rows of another length, and devices that are there twice.

    `RefusedError` when it cannot be read as a table at all.
    """
    try:
        with path.open("rb") as file:
            return _scan(path, _Lines(file))
    except OSError as error:
        raise RefusedError(f"{path}: cannot be read ({error.strerror}); give the file of the batch") from error


class _Lines:
    """The lines of a file, with what was read of it so far."""

    def __init__(self, file: io.BufferedReader) -> None:
        self._file = file
        self._is_first = True
        self.read = 0
        self.checksum = 0
        self.digest = hashlib.sha256()

    def __iter__(self) -> Iterator[str]:
        for data in self._file:
            self.read += len(data)
            self.checksum = zlib.crc32(data, self.checksum)
            self.digest.update(data)
            is_first, self._is_first = self._is_first, False
            yield (data.removeprefix(BOM_UTF8) if is_first else data).decode("utf-8")


class _Cutter:
    """Cuts rows into parts, and remembers the devices, which must not come twice."""

    def __init__(self, columns: tuple[str, ...], lines: _Lines, line: int) -> None:
        self._lines = lines
        self._begun, self._begun_line, self._begun_rows = lines.read, line + 1, 0
        self._device = columns.index(DEVICE)
        self._signer = columns.index(AUTHORITY) if AUTHORITY in columns else None
        self.rows = 0
        self.parts: list[Part] = []
        self.devices = Seen()
        self.authorities: set[str] = set()

    def take(self, values: list[str], first: int, line: int) -> None:
        """A row from the line `first` to `line`."""
        self.rows += 1
        if values[self._device]:
            self.devices.add(values[self._device].encode(), first)
        if self._signer is not None and values[self._signer]:
            self.authorities.add(values[self._signer])
        if self.rows - self._begun_rows == PART_ROWS:
            self.cut(line)

    def cut(self, line: int) -> None:
        """End a part with `line`, if it has rows."""
        rows, read = self.rows - self._begun_rows, self._lines.read
        if rows:
            part = Part(len(self.parts), self._begun, read - self._begun, self._begun_line, rows, self._lines.checksum)
            self.parts.append(part)
        self._begun, self._begun_line, self._begun_rows, self._lines.checksum = read, line + 1, self.rows, 0


def _scan(path: Path, lines: _Lines) -> tuple[Table, Problems]:
    reader = csv.reader(lines, strict=True)
    problems = Problems()
    try:
        columns = _header(path, next(reader, None))
        lines.checksum = 0
        cutter = _Cutter(columns, lines, reader.line_num)
        line, misshapen = reader.line_num, 0
        for values in reader:
            first, line = line + 1, reader.line_num
            if len(values) == len(columns):
                cutter.take(values, first, line)
            elif values:
                misshapen += 1
                text = f"has {len(values)} fields, and the header has {len(columns)}; give every column a field"
                problems.add(Problem(first, "", text))
            if cutter.rows + misshapen > MAX_ROWS:
                raise RefusedError(f"{path}: has more than {MAX_ROWS:,} rows; give several files")
            if len(cutter.authorities) > MAX_AUTHORITIES:
                said = f"names one authority more than the {MAX_AUTHORITIES:,} that a batch may have"
                raise RefusedError(f"{path}:{first}: {said}; look at that column, or give several files")
        cutter.cut(line)
    except csv.Error as error:
        raise RefusedError(f"{path}:{reader.line_num}: is no CSV ({error}); write it anew as CSV") from error
    except UnicodeDecodeError as error:
        raise RefusedError(f"{path}:{reader.line_num + 1}: is not UTF-8; write the file anew in UTF-8") from error
    if not cutter.rows and not problems:
        raise RefusedError(f"{path}: has no rows; a batch has 1 to {MAX_ROWS:,}")
    table = Table(
        path=path,
        columns=columns,
        rows=cutter.rows,
        digest=lines.digest.hexdigest(),
        authorities=frozenset(cutter.authorities),
        parts=tuple(cutter.parts),
    )
    add_repeats(table, cutter.devices, problems, _device_twice)
    return table, problems


def _header(path: Path, found: list[str] | None) -> tuple[str, ...]:
    columns = tuple(name.strip() for name in found or ())
    if DEVICE not in columns:
        raise RefusedError(f"{path}:1: has no column {DEVICE!r}; begin with a header, of {', '.join(COLUMNS)}")
    for name in columns:
        if name not in COLUMNS:
            raise RefusedError(f"{path}:1: column {name!r} means nothing here; known are {', '.join(COLUMNS)}")
        if columns.count(name) > 1:
            raise RefusedError(f"{path}:1: column {name!r} is there twice; keep one")
    return columns


def add_repeats(table: Table, seen: Seen, problems: Problems, told: Callable[[Row, int], Problem]) -> None:
    """Rows with a value that an earlier row has, each `told` with the line of the first; only those are read again."""
    repeats = seen.repeats()
    firsts = dict(zip(repeats.lines[:SHOWN].tolist(), repeats.firsts[:SHOWN].tolist(), strict=True))
    first = [told(row, firsts[row.line]) for row in table.rows_at(frozenset(firsts))]
    problems.add_all(array("Q", repeats.lines.tobytes()), first)


def _device_twice(row: Row, first: int) -> Problem:
    return Problem(row.line, DEVICE, f"device {row.values[DEVICE]} is in line {first} already; keep one of the two")
