"""What a damaged file still holds: every row that SQLite finds and whose own checksum fits.

A damaged page hides its rows, or those of all pages below it. Reading goes on behind it: forward until it fails, then
from the first place further on that can be read, backward to the damage and forward again.
"""

# Nothing but the digit of a priority is put into a statement.
# ruff: noqa: S608

import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from device.buffer.queue import Row
from device.buffer.row import Priority, Reason, is_sound
from device.buffer.store import Segment
from device.buffer.store_file import is_ours

_LAST_NUMBER = 2**63 - 1
"""The largest that SQLite gives a row."""


@dataclass(frozen=True, slots=True)
class Wreck:
    """A damaged file's word on numbers and losses, and its rows, which are read as they are asked for."""

    connection: sqlite3.Connection
    segments: Mapping[Priority, list[Segment]]
    """Empty when even they cannot be read: then no row is known by its name."""
    dropped: Counter[Reason] = field(default_factory=Counter)
    missing: Counter[Priority] = field(default_factory=Counter)
    """Of the rows read so far: those that were seen and are not sound, and the numbers left out amid sound ones."""

    def rows(self, priority: Priority, segments: Sequence[Segment]) -> Iterator[Row]:
        """The sound ones, in order; none without `segments`, since nothing tells what their numbers mean."""
        if not segments:
            return
        for row in self._readable(priority):
            if is_sound(*row):
                yield row
            else:
                self.missing[priority] += 1

    def _readable(self, priority: Priority) -> Iterator[Row]:
        done = -1
        while True:
            for row in _until_damage(self.connection, priority, done, _LAST_NUMBER, "ASC"):
                if row[0] > done:
                    yield row
                    done = row[0]
            beyond = _beyond_damage(self.connection, priority, done)
            if beyond is None:
                return
            rows = list(_until_damage(self.connection, priority, done, beyond, "DESC"))
            if done >= 0:
                self.missing[priority] += (rows[-1][0] if rows else beyond + 1) - done - 1
            yield from reversed(rows)
            done = beyond


def enter(connection: sqlite3.Connection) -> Wreck:
    """Look around in a damaged file; never an error, but perhaps nothing."""
    nothing: dict[Priority, list[Segment]] = {p: [] for p in Priority}
    try:
        # Exclusive, as the buffer itself: its log is read without a third file.
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        if not is_ours(connection):
            return Wreck(connection, nothing)
        found = connection.execute("SELECT priority, first, epoch, ahead FROM segment ORDER BY first").fetchall()
        segments = {p: [Segment(*rest) for priority, *rest in found if priority == p] for p in Priority}
    except sqlite3.Error:
        return Wreck(connection, nothing)
    return Wreck(connection, segments, _dropped(connection))


def _dropped(connection: sqlite3.Connection) -> Counter[Reason]:
    try:
        return Counter({Reason(r): rows for r, rows in connection.execute("SELECT reason, rows FROM dropped")})
    except (sqlite3.Error, ValueError):
        return Counter()


def _until_damage(
    connection: sqlite3.Connection, priority: Priority, after: int, last: int, direction: str
) -> Iterator[Row]:
    query = f"""SELECT number, stamp, checksum, payload FROM queue_{priority:d} WHERE number > ? AND number <= ?
        ORDER BY number {direction}"""
    try:
        with closing(connection.execute(query, (after, last))) as rows:
            yield from rows
    except sqlite3.Error:
        return


def _beyond_damage(connection: sqlite3.Connection, priority: Priority, done: int) -> int | None:
    """The first number found that can be read beyond what cannot, in steps that double; None at the end."""
    step = 1
    while done + step < _LAST_NUMBER:
        query = f"SELECT number FROM queue_{priority:d} WHERE number > ? ORDER BY number LIMIT 1"
        try:
            found = connection.execute(query, (done + step - 1,)).fetchone()
        except sqlite3.Error:
            step *= 2
            continue
        if found is None:
            return None
        if found[0] > done:
            return int(found[0])
        step *= 2
    return None
