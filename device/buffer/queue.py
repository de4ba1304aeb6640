"""The table of one priority's rows, as SQL: what `device.buffer.store` reads and deletes, none of it a decision."""

# Nothing but the digit of a priority is put into a statement.
# ruff: noqa: S608

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing

from device.buffer.row import ROW_OVERHEAD_BYTES, Priority

SLICE_ROWS = 1000
"""The most rows deleted at once, whatever their size."""

Row = tuple[int, int, int, bytes]
"""Number, stamp, checksum, payload: as long as the flash gives back what it was given."""


class Queue:
    """One priority's table. Any `sqlite3.Error` leaves it as it was before the call."""

    def __init__(self, connection: sqlite3.Connection, priority: Priority) -> None:
        """The table is there; transactions are the caller's."""
        self._run, self._run_many = connection.execute, connection.executemany
        self._table = f"queue_{priority:d}"

    def insert(self, rows: Sequence[Row]) -> None:
        """Add rows whose numbers are new."""
        self._run_many(f"INSERT INTO {self._table} VALUES (?, ?, ?, ?)", rows)

    def count(self, last: int | None = None) -> int:
        """How many there are, up to number `last`."""
        where, values = ("", ()) if last is None else (" WHERE number <= ?", (last,))
        count: int = self._run(f"SELECT count(*) FROM {self._table}{where}", values).fetchone()[0]
        return count

    def first(self) -> tuple[int, int] | None:
        """Number and stamp of the oldest."""
        row: tuple[int, int] | None = self._run(
            f"SELECT number, stamp FROM {self._table} ORDER BY number LIMIT 1"
        ).fetchone()
        return row

    def last(self) -> tuple[int, int] | None:
        """Number and stamp of the newest."""
        row: tuple[int, int] | None = self._run(
            f"SELECT number, stamp FROM {self._table} ORDER BY number DESC LIMIT 1"
        ).fetchone()
        return row

    def first_since(self, stamp: int) -> int | None:
        """The number of the first that is not older than `stamp`."""
        number: int | None = self._run(f"SELECT min(number) FROM {self._table} WHERE stamp >= ?", (stamp,)).fetchone()[
            0
        ]
        return number

    def numbers(self, first: int) -> set[int]:
        """Those from `first` on."""
        return {number for (number,) in self._run(f"SELECT number FROM {self._table} WHERE number >= ?", (first,))}

    def after(self, number: int, limit: int) -> Iterator[Row]:
        """The rows beyond `number`, read `limit` at a time, so that no read is left open."""
        query = f"SELECT number, stamp, checksum, payload FROM {self._table} WHERE number > ? ORDER BY number LIMIT ?"
        while rows := self._run(query, (number, limit)).fetchall():
            yield from rows
            if len(rows) < limit:
                return
            number = rows[-1][0]

    def slice_end(self, last: int, size: int, after: int = -1) -> int | None:
        """The number up to which the rows beyond `after` and up to `last` take `size` bytes; None when there are none.

        Deleting more at once would change more pages than the log has room for.
        """
        end = None
        query = f"""SELECT number, length(payload) FROM {self._table} WHERE number > ? AND number <= ?
            ORDER BY number LIMIT ?"""
        # Closed when left early: an open one would hold the log back from starting anew.
        with closing(self._run(query, (after, last, SLICE_ROWS))) as rows:
            for number, length in rows:
                size -= length + ROW_OVERHEAD_BYTES
                if size < 0 and end is not None:
                    break
                end = number
        return end

    def delete(self, last: int, after: int = -1) -> int:
        """Delete what is beyond `after` and up to `last`; how many."""
        return self._run(f"DELETE FROM {self._table} WHERE number > ? AND number <= ?", (after, last)).rowcount

    def delete_each(self, numbers: Iterable[int]) -> None:
        """Delete single rows."""
        self._run_many(f"DELETE FROM {self._table} WHERE number = ?", [(number,) for number in numbers])
