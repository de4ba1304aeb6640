"""The rows of a batch that come back, as a file that can be mended and sent again."""

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from provisioning.bulk.table import CSR_FILE, REASON, Row, Table


def failed_header(table: Table) -> bytes:
    """The header of the rows that come back, and a reason each."""
    return _csv([[*(name for name in table.columns if name != REASON), REASON]])


def failed_rows(table: Table, folder: Path, rows: Sequence[Row], refused: Mapping[int, str]) -> bytes:
    """The rows as they were given, but for paths: those are from the folder of the file that they are given back in."""
    kept, back = [name for name in table.columns if name != REASON], []
    for row in rows:
        if row.line in refused:
            path = _moved(row.values.get(CSR_FILE, ""), table.path.parent, folder)
            values = {**row.values, CSR_FILE: path}
            back.append([*(values[name] for name in kept), refused[row.line]])
    return _csv(back)


def _moved(path: str, old: Path, new: Path) -> str:
    """The same file, by its path from another folder."""
    given = path.strip()
    if not given or Path(given).is_absolute():
        return path
    found = old / given
    return os.path.relpath(found.parent.resolve() / found.name, new.resolve())


def _csv(rows: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()
