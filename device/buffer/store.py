"""The ring in the file: groups of rows in, the oldest out, each call one durable transaction or none.

A row's number grows within its priority and is never given twice in one file. Deleting is always from the oldest
on. When the file is full, the oldest row of the lowest priority makes room, in the same transaction that needs it.
"""

# Nothing but the digit of a priority is put into a statement.
# ruff: noqa: S608

import sqlite3
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from device.buffer.capacity import LOG_BYTES, PAGE_BYTES, TRANSACTION_BYTES, Capacity
from device.buffer.row import ROW_OVERHEAD_BYTES, Chunk, Priority, Reason, StoredRow, checksum
from device.buffer.store_file import STORE_FILE, open_store

SLICE_ROWS = 1000
"""The most rows deleted at once, whatever their size."""
SPARE_PAGES = 6
"""Beyond the rows' own: a split of a leaf and of the two levels above it, the segments, the counts."""


class NoRoomError(Exception):
    """Every place is taken by rows of a higher priority."""


class Segment(NamedTuple):
    """From `first` on rows are of `epoch`, and their sequence is their number plus `ahead`."""

    first: int
    epoch: int
    ahead: int


class Store:
    """An open file. Any `sqlite3.Error` leaves it as it was before the call."""

    def __init__(self, folder: Path, capacity: Capacity) -> None:
        """Open and check the file; errors as `open_store`."""
        self.capacity = capacity
        self.connection = open_store(folder, capacity)
        self._log = folder / f"{STORE_FILE}-wal"
        try:
            self._read_state()
        except BaseException:
            self.connection.close()
            raise

    def _read_state(self) -> None:
        run = self.connection.execute
        self.counts = {p: run(f"SELECT count(*) FROM queue_{p:d}").fetchone()[0] for p in Priority}
        self.dropped = Counter({Reason(reason): rows for reason, rows in run("SELECT reason, rows FROM dropped")})
        self.segments = {
            p: [
                Segment(*row)
                for row in run("SELECT first, epoch, ahead FROM segment WHERE priority = ? ORDER BY first", (p,))
            ]
            for p in Priority
        }
        self.next = {p: self._next_number(p) for p in Priority}
        stamps = [
            run(f"SELECT stamp FROM queue_{p:d} ORDER BY number DESC LIMIT 1").fetchone() or (0,) for p in Priority
        ]
        self.last_stamp: int = max(stamp for (stamp,) in stamps)
        self.last_epoch = max((s.epoch for segments in self.segments.values() for s in segments), default=0)
        self.delivered = dict.fromkeys(Priority, -1)
        self._kept_on = dict.fromkeys(Priority, 0)

    def upcoming(self) -> dict[Priority, int]:
        """The next sequence of each priority, when this file is all that is known."""
        return {p: self.next[p] + (self.segments[p][-1].ahead if self.segments[p] else 0) for p in Priority}

    def begin(self, epoch: int, sequences: Mapping[Priority, int]) -> None:
        """Rows from here on are of `epoch`, numbered in each priority from its sequence on."""
        begun = {
            p: [*self._needed_segments(p), Segment(self.next[p], epoch, sequences[p] - self.next[p])] for p in Priority
        }
        with self._transaction():
            for p, segments in begun.items():
                self._keep_segments(p, segments)
        self.segments = begun

    def insert(self, priority: Priority, rows: Sequence[StoredRow]) -> Counter[Priority]:
        """Store one transaction's rows; how many of which priority made room. `NoRoomError` when none could."""
        if self._log.stat().st_size > LOG_BYTES:
            # A checkpoint failed before: go on only once the log is back within its bound.
            self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        ahead = self.segments[priority][-1].ahead
        values = [
            (row.sequence - ahead, row.stamp, checksum(row.sequence - ahead, row.stamp, row.payload), row.payload)
            for row in rows
        ]
        gone: Counter[Priority] = Counter()
        with self._transaction():
            self._make_room(priority, _pages(rows) + SPARE_PAGES, gone)
            if gone:
                self._keep_dropped(self.dropped + Counter({Reason.FULL: gone.total()}))
            self.connection.executemany(f"INSERT INTO queue_{priority:d} VALUES (?, ?, ?, ?)", values)
        self.dropped[Reason.FULL] += gone.total()
        for p, count in gone.items():
            self._gone(p, count)
            if not self.counts[p] and p != priority:
                self.segments[p] = [self._emptied(p)]
        self.counts[priority] += len(values)
        self.next[priority] = values[-1][0] + 1
        return gone

    def oldest(self, priority: Priority, limit: int) -> tuple[Chunk | None, list[int]]:
        """The oldest rows of one segment without a gap, at most `limit`; and the numbers of corrupt rows on the way."""
        chunk: list[StoredRow] = []
        corrupt: list[int] = []
        segment = end = None
        for number, stamp, check, payload in self.connection.execute(
            f"SELECT number, stamp, checksum, payload FROM queue_{priority:d} WHERE number > ? ORDER BY number LIMIT ?",
            (self.delivered[priority], limit),
        ).fetchall():
            if checksum(number, stamp, payload) != check:
                corrupt.append(number)
                continue
            if segment is None:
                at = bisect_right(self.segments[priority], number, key=lambda s: s.first)
                segment = self.segments[priority][max(0, at - 1)]
                end = self.segments[priority][at].first if at < len(self.segments[priority]) else None
            sequence = number + segment.ahead
            if number == end or (chunk and sequence != chunk[-1].sequence + 1):
                break
            chunk.append(StoredRow(sequence, stamp, payload))
        if segment is None:
            return None, corrupt
        return Chunk(priority, segment.epoch + priority, tuple(chunk)), corrupt

    def forget(self, priority: Priority, epoch: int, sequence: int) -> None:
        """Delete everything up to and including the row of that epoch and sequence, which was delivered.

        When the flash refuses, those rows are at least not given out again, and the next call deletes them too.
        """
        of_epoch = [s for s in self.segments[priority] if s.epoch + priority == epoch]
        if of_epoch:
            last = sequence - of_epoch[-1].ahead
            self.delivered[priority] = max(self.delivered[priority], last)
            try:
                self.forget_up_to(priority, last, None)
            except sqlite3.Error:
                query = f"SELECT count(*) FROM queue_{priority:d} WHERE number <= ?"
                self._kept_on[priority] = self.connection.execute(query, (self.delivered[priority],)).fetchone()[0]
                raise

    def forget_up_to(self, priority: Priority, last: int, reason: Reason | None) -> int:
        """Delete the rows up to number `last`, counting them under `reason` when they were not delivered; how many."""
        total = 0
        while (end := self._slice_end(priority, last, TRANSACTION_BYTES)) is not None:
            total += self._forget(priority, end, reason)
        return total

    def forget_corrupt(self, priority: Priority, numbers: Sequence[int]) -> None:
        """Delete single rows whose checksum does not fit, and count them."""
        with self._transaction():
            self.connection.executemany(
                f"DELETE FROM queue_{priority:d} WHERE number = ?",
                [(n,) for n in numbers],
            )
            self._keep_dropped(self.dropped + Counter({Reason.CORRUPT: len(numbers)}))
        self.dropped[Reason.CORRUPT] += len(numbers)
        self._gone(priority, len(numbers))

    @property
    def depth(self) -> int:
        """How many rows wait to be delivered, without those that only the flash kept from being deleted."""
        count: int = sum(self.counts.values()) - sum(self._kept_on.values())
        return count

    def _gone(self, priority: Priority, count: int) -> None:
        """So many of the oldest are deleted."""
        self.counts[priority] -= count
        self._kept_on[priority] = max(0, self._kept_on[priority] - count)

    def last_expired(self, priority: Priority, before: int) -> int | None:
        """The number of the last row of the oldest with a stamp below `before`."""
        row = self.connection.execute(
            f"SELECT number, stamp FROM queue_{priority:d} ORDER BY number LIMIT 1"
        ).fetchone()
        if row is None or row[1] >= before:
            return None
        # Stamps grow with numbers, so the first that is young enough ends what is expired.
        young = self.connection.execute(
            f"SELECT min(number) FROM queue_{priority:d} WHERE stamp >= ?",
            (before,),
        ).fetchone()[0]
        return int(young) - 1 if young is not None else self.next[priority] - 1

    def fullness(self) -> float:
        """The share of the file's pages that hold something, 0 to 1."""
        return 1 - self._free_pages() / self.capacity.pages

    def close(self) -> None:
        """Fold the log into the file and let go of it."""
        self.connection.close()

    def _forget(self, priority: Priority, last: int, reason: Reason | None) -> int:
        with self._transaction():
            count = self._delete(priority, last)
            is_emptied = count > 0 and count == self.counts[priority]
            if is_emptied:
                self._keep_segments(priority, [self._emptied(priority)])
            if reason and count:
                self._keep_dropped(self.dropped + Counter({reason: count}))
        if is_emptied:
            self.segments[priority] = [self._emptied(priority)]
        self._gone(priority, count)
        if reason:
            self.dropped[reason] += count
        return count

    def _emptied(self, priority: Priority) -> Segment:
        """What an emptied queue keeps: where it was. A number never comes twice, and a gap always means a loss."""
        return self.segments[priority][-1]._replace(first=self.next[priority])

    def _delete(self, priority: Priority, last: int) -> int:
        return self.connection.execute(f"DELETE FROM queue_{priority:d} WHERE number <= ?", (last,)).rowcount

    def _slice_end(self, priority: Priority, last: int, size: int) -> int | None:
        """The number up to which the oldest rows up to `last` take `size` bytes; None when there are none.

        Deleting more at once would change more pages than the log has room for.
        """
        end = None
        query = f"SELECT number, length(payload) FROM queue_{priority:d} WHERE number <= ? ORDER BY number LIMIT ?"
        # Closed when left early: an open one would hold the log back from starting anew.
        with closing(self.connection.execute(query, (last, SLICE_ROWS))) as rows:
            for number, length in rows:
                size -= length + ROW_OVERHEAD_BYTES
                if size < 0 and end is not None:
                    break
                end = number
        return end

    def _make_room(self, priority: Priority, pages: int, gone: Counter[Priority]) -> None:
        """Delete the oldest rows, of the lowest priority first, until `pages` are free."""
        for p in reversed(Priority):
            left = self.counts[p]
            while p >= priority and left and self._free_pages() < pages:
                deleted = self._delete(p, self._slice_end(p, self.next[p], PAGE_BYTES) or 0)
                gone[p] += deleted
                left -= deleted
                if not left and p != priority:
                    self._keep_segments(p, [self._emptied(p)])
        if self._free_pages() < pages:
            raise NoRoomError

    def _free_pages(self) -> int:
        run = self.connection.execute
        used: int = run("PRAGMA page_count").fetchone()[0] - run("PRAGMA freelist_count").fetchone()[0]
        return self.capacity.pages - used

    def _next_number(self, priority: Priority) -> int:
        last = self.connection.execute(f"SELECT max(number) FROM queue_{priority:d}").fetchone()[0]
        firsts = [segment.first for segment in self.segments[priority]]
        return max([0 if last is None else last + 1, *firsts])

    def _needed_segments(self, priority: Priority) -> list[Segment]:
        """Those that still have rows before the next number."""
        oldest = self.connection.execute(f"SELECT min(number) FROM queue_{priority:d}").fetchone()[0]
        if oldest is None:
            return []
        segments = self.segments[priority]
        start = max(0, bisect_right(segments, oldest, key=lambda s: s.first) - 1)
        return [segment for segment in segments[start:] if segment.first < self.next[priority]]

    def _keep_segments(self, priority: Priority, segments: Sequence[Segment]) -> None:
        self.connection.execute("DELETE FROM segment WHERE priority = ?", (priority,))
        self.connection.executemany(
            "INSERT INTO segment VALUES (?, ?, ?, ?)", [(priority, *segment) for segment in segments]
        )

    def _keep_dropped(self, totals: Counter[Reason]) -> None:
        self.connection.executemany("INSERT OR REPLACE INTO dropped VALUES (?, ?)", list(totals.items()))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.connection.execute("COMMIT")
        except BaseException:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            raise


def _pages(rows: Sequence[StoredRow]) -> int:
    """The most pages these rows fill, each left with a remainder that the largest of them does not fit into."""
    sizes = [len(row.payload) + ROW_OVERHEAD_BYTES for row in rows]
    return -(-sum(sizes) // (PAGE_BYTES - max(sizes)))
