"""A CSV file (RFC 4180, UTF-8) as rows that know their lines, and everything that is wrong with it told at once."""

import csv
import heapq
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import islice
from operator import itemgetter
from pathlib import Path

from fleet.errors import RefusedError

MAX_SHOWN = 20
"""Problems of one file told in full: a person mends the first few and asks again."""


class Problems:
    """What is wrong with what was asked for: the first lines in full, the rest counted."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._first: list[tuple[int, str]] = []
        """A heap of negated lines: the last of those kept is on top."""
        self.count = 0

    def add(self, line: int, column: str, rule: str, way_out: str) -> None:
        """`line` from 1, or 0 where there is no file but options; `column` may be empty."""
        self.count += 1
        place = f"{self._file}:{line}" if line else self._file
        told = ": ".join(part for part in (place, column and f"column {column}", f"{rule}; {way_out}") if part)
        if len(self._first) < MAX_SHOWN:
            heapq.heappush(self._first, (-line, told))
        else:
            heapq.heappushpop(self._first, (-line, told))

    def raise_any(self) -> None:
        """`RefusedError` when there is any."""
        if not self.count:
            return
        told = [text for _, text in sorted(self._first, key=lambda each: -each[0])]
        if self.count > len(told):
            told.append(f"{self._file}: and {self.count - len(told)} more")
        raise RefusedError("\n".join(told))


def read_rows(
    path: Path, *, required: Collection[str], optional: Collection[str], problems: Problems
) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Line and fields of each row; a row that does not fit the header is told, and left out.

    The fields stand in the order of `required`, then `optional`; empty where the file has no such column. A line is the
    one the row begins in. Whatever keeps the rest from being read is told and ends the rows.
    """
    line = 1
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = next(reader, [])
            if _is_wrong(header, required, optional, problems):
                return
            width = len(header)
            fields = _picker(header, (*required, *optional))
            line = reader.line_num + 1
            for row in reader:
                if len(row) == width:
                    row.append("")
                    yield line, fields(row)
                elif row:
                    column = header[len(row)] if len(row) < width else str(width + 1)
                    rule = f"the row has {len(row)} of {width} fields"
                    problems.add(line, column, rule, "give every column one field")
                line = reader.line_num + 1
    except csv.Error as error:
        line, place = _first_not_csv(path, line)
        problems.add(line, str(place), f"is not CSV ({error})", 'write quotes in a field twice, as "" (RFC 4180)')
    except UnicodeDecodeError:
        line, place = _first_not_utf8(path)
        problems.add(line, str(place), "is not UTF-8", "save the file as UTF-8")
    except OSError as error:
        raise RefusedError(f"{path}: cannot be read ({error.strerror}); give a CSV file") from error


def _picker(header: Sequence[str], wanted: Sequence[str]) -> Callable[[Sequence[str]], tuple[str, ...]]:
    """Takes the wanted columns out of a row that has an empty field appended, for those that it lacks."""
    places = [header.index(column) if column in header else len(header) for column in wanted]
    return itemgetter(*places)


def _is_wrong(header: Sequence[str], required: Collection[str], optional: Collection[str], problems: Problems) -> bool:
    known = ", ".join((*required, *optional))
    wrong = False
    for column in header:
        if column not in required and column not in optional:
            wrong = True
            problems.add(1, repr(column), "is unknown", f"the first line names the columns: {known}")
    for column in set(header):
        if header.count(column) > 1:
            wrong = True
            problems.add(1, column, "is named twice", "name it once")
    for column in required:
        if column not in header:
            wrong = True
            problems.add(1, column, "is missing", f"the first line names the columns: {known}")
    return wrong


def _first_not_utf8(path: Path) -> tuple[int, int]:
    """Line and byte, both from 1."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                return number, error.start + 1
    return 0, 0


def _first_not_csv(path: Path, line: int) -> tuple[int, int]:
    """Line and character, both from 1, where the row that begins in `line` breaks RFC 4180.

    After a closing quote comes a comma or the end; an open field, or a too long one, is told where it begins.
    """
    place = field = (line, 1)
    is_quoted = is_closed = False
    length = 0
    with path.open(encoding="utf-8-sig", newline="") as file:
        for number, text in enumerate(islice(file, line - 1, None), line):
            for column, character in enumerate(text, 1):
                place = number, column
                if character == '"' and (is_quoted or is_closed or place == field):
                    is_closed, is_quoted = is_quoted, not is_quoted
                elif not is_quoted and character in ",\r\n":
                    field, is_closed, length = (number, column + 1), False, 0
                elif is_closed:
                    return place
                length += 1
                if length > csv.field_size_limit():
                    return field
            if not is_quoted:
                break
    return field
