"""The file of a batch: CSV in UTF-8 with a header, one row a device.

`scan` reads it once from end to end and cuts it into parts of whole rows; whoever checks or issues a part reads its
bytes again, by itself.
"""

import csv
import hashlib
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from provisioning.bulk.duplicates import Seen
from provisioning.errors import RefusedError, StationError

DEVICE, MODEL, AUTHORITY, CSR, CSR_FILE, REASON = "device", "model", "authority", "csr", "csr_file", "reason"
COLUMNS = (DEVICE, MODEL, AUTHORITY, CSR, CSR_FILE, REASON)
"""`csr`: a request, in PEM or as the Base64 of its DER. `csr_file`: the path of one, from the file's folder. Neither:
the factory makes the key, where the model lets it. `reason`: what an earlier batch said of the row; ignored."""
PART_ROWS = 1000
"""Rows that share their commits: 100 ms of work, a fifth of it in the ledger."""
MAX_ROWS = 1_000_000
"""What was measured; a larger order is two files."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A row that cannot be issued as it stands."""

    line: int
    column: str
    text: str


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
        """The rows of a part; `StationError` when the file was changed since."""
        with self.path.open("rb") as file:
            file.seek(part.offset)
            data = file.read(part.size)
        if zlib.crc32(data) != part.checksum:
            raise StationError(f"{self.path}: was changed while this ran; put it back, then run this again")
        rows, line = [], 0
        reader = csv.reader(io.StringIO(data.decode(), newline=""), strict=True)
        for values in reader:
            if values:
                rows.append(Row(part.line + line, dict(zip(self.columns, values, strict=True))))
            line = reader.line_num
        return rows


def scan(path: Path) -> tuple[Table, list[Problem]]:
    """The file, and what is wrong with its shape: columns, rows of another length, devices and requests twice.

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
        self.read = 0
        self.checksum = 0
        self.digest = hashlib.sha256()

    def __iter__(self) -> Iterator[str]:
        for data in self._file:
            self.read += len(data)
            self.checksum = zlib.crc32(data, self.checksum)
            self.digest.update(data)
            yield data.decode("utf-8")


class _Cutter:
    """Cuts rows into parts, and remembers what must not come twice."""

    def __init__(self, columns: tuple[str, ...], lines: _Lines, line: int) -> None:
        self._lines = lines
        self._begun, self._begun_line, self._begun_rows = lines.read, line + 1, 0
        self._places = {name: at for at, name in enumerate(columns) if name in (DEVICE, CSR)}
        self._signer = columns.index(AUTHORITY) if AUTHORITY in columns else None
        self.rows = 0
        self.parts: list[Part] = []
        self.seen = {name: Seen() for name in self._places}
        self.authorities: set[str] = set()

    def take(self, values: list[str], line: int) -> None:
        """A row that ends in `line`."""
        self.rows += 1
        for name, at in self._places.items():
            if values[at]:
                self.seen[name].add(values[at])
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


def _scan(path: Path, lines: _Lines) -> tuple[Table, list[Problem]]:
    reader = csv.reader(lines, strict=True)
    problems: list[Problem] = []
    try:
        columns = _header(path, next(reader, None))
        lines.checksum = 0
        cutter = _Cutter(columns, lines, reader.line_num)
        line = reader.line_num
        for values in reader:
            first, line = line + 1, reader.line_num
            if len(values) == len(columns):
                cutter.take(values, line)
            elif values:
                text = f"has {len(values)} fields, and the header has {len(columns)}; give every column a field"
                problems.append(Problem(first, "", text))
        cutter.cut(line)
    except csv.Error as error:
        raise RefusedError(f"{path}:{reader.line_num}: is no CSV ({error}); write it anew as CSV") from error
    except UnicodeDecodeError as error:
        raise RefusedError(f"{path}:{reader.line_num + 1}: is not UTF-8; write the file anew in UTF-8") from error
    if not 1 <= cutter.rows + len(problems) <= MAX_ROWS:
        raise RefusedError(f"{path}: has {cutter.rows:,} rows; a batch has 1 to {MAX_ROWS:,}, so give several files")
    table = Table(
        path=path,
        columns=columns,
        rows=cutter.rows,
        digest=lines.digest.hexdigest(),
        authorities=frozenset(cutter.authorities),
        parts=tuple(cutter.parts),
    )
    return table, problems or list(_twice(table, cutter.seen))


def _header(path: Path, found: list[str] | None) -> tuple[str, ...]:
    columns = tuple(name.removeprefix("\ufeff").strip() for name in found or ())
    if DEVICE not in columns:
        raise RefusedError(f"{path}:1: has no column {DEVICE!r}; begin with a header, of {', '.join(COLUMNS)}")
    for name in columns:
        if name not in COLUMNS:
            raise RefusedError(f"{path}:1: column {name!r} means nothing here; known are {', '.join(COLUMNS)}")
        if columns.count(name) > 1:
            raise RefusedError(f"{path}:1: column {name!r} is there twice; keep one")
    return columns


def _twice(table: Table, seen: dict[str, Seen]) -> Iterator[Problem]:
    """Values that came more than once, each with the line of the first; read again only if there are any."""
    repeated = {name: each.repeated() for name, each in seen.items()}
    if not any(repeated.values()):
        return
    first: dict[tuple[str, str], int] = {}
    for part in table.parts:
        for row in table.rows_of(part):
            for name, values in repeated.items():
                value = row.values.get(name, "")
                if not value or hash(value) not in values:
                    continue
                before = first.setdefault((name, value), row.line)
                if before != row.line:
                    shown = f"device {value}" if name == DEVICE else "this request"
                    yield Problem(row.line, name, f"{shown} is in line {before} already; keep one of the two")
