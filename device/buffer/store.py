"""The ring in the file: groups of rows in, the oldest out, each call one durable transaction or none.

A row's number grows within its priority and is never given twice in one file. Deleting is from the oldest on, but for
rows that were delivered from memory before they were stored, and for corrupt ones. When the file is full, the oldest
row of the lowest priority makes room, in the same transaction that needs it.
"""

import sqlite3
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from device.buffer.capacity import LOG_BYTES, PAGE_BYTES, TRANSACTION_BYTES, Capacity
from device.buffer.queue import Queue, Row
from device.buffer.row import ROW_OVERHEAD_BYTES, Chunk, Priority, Reason, StoredRow, checksum, is_sound
from device.buffer.store_file import STORE_FILE, open_store

SCATTERED_ROWS = 16
"""The most rows deleted at once wherever they lie: each may change a page of its own."""
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

    def __init__(self, folder: Path, capacity: Capacity, name: str = STORE_FILE) -> None:
        """Open and check the file; errors as `open_store`."""
        self.capacity = capacity
        self.connection = open_store(folder, capacity, name)
        self._log = folder / f"{name}-wal"
        try:
            self._read_state()
        except BaseException:
            self.connection.close()
            raise

    def _read_state(self) -> None:
        run = self.connection.execute
        self._queues = {p: Queue(self.connection, p) for p in Priority}
        self.counts = {p: queue.count() for p, queue in self._queues.items()}
        self.dropped = Counter({Reason(reason): rows for reason, rows in run("SELECT reason, rows FROM dropped")})
        self.segments = {
            p: [
                Segment(*row)
                for row in run("SELECT first, epoch, ahead FROM segment WHERE priority = ? ORDER BY first", (p,))
            ]
            for p in Priority
        }
        self.next = {p: self._next_number(p) for p in Priority}
        self.last_stamp = max(last[1] if (last := queue.last()) else 0 for queue in self._queues.values())
        self.last_epoch = max((s.epoch for segments in self.segments.values() for s in segments), default=0)
        self.delivered = dict.fromkeys(Priority, -1)
        self._kept_on = dict.fromkeys(Priority, 0)
        self._passed: dict[Priority, set[int]] = {p: set() for p in Priority}
        """Rows whose checksum does not fit, and that the flash did not let go of."""
        self._is_count_kept = True
        """Whether the file has what `dropped` says."""

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

    def is_of(self, epoch: int) -> bool:
        """Whether `epoch` was begun in this file, and is the last that was."""
        return all(segments and segments[-1].epoch == epoch for segments in self.segments.values())

    def restore(self, segments: Mapping[Priority, Sequence[Segment]], dropped: Counter[Reason]) -> None:
        """Let a new file say of numbers and losses what the one before said."""
        with self._transaction():
            for p in Priority:
                self._keep_segments(p, segments[p])
            self._keep_dropped(dropped)
        self._read_state()

    def skip_delivered(self, delivered: Mapping[Priority, int]) -> None:
        """Rows up to these numbers were delivered, though the flash may have refused to forget them."""
        for p in Priority:
            self.delivered[p] = max(self.delivered[p], delivered[p])
            self._count_kept_on(p)

    def insert(self, priority: Priority, rows: Sequence[StoredRow]) -> Counter[Priority]:
        """Store one transaction's rows; how many of which priority made room. `NoRoomError` when none could."""
        self._settle()
        ahead = self.segments[priority][-1].ahead
        values = [
            (row.sequence - ahead, row.stamp, checksum(row.sequence - ahead, row.stamp, row.payload), row.payload)
            for row in rows
        ]
        return self.put(priority, values)

    def put(self, priority: Priority, rows: Sequence[Row]) -> Counter[Priority]:
        """As `insert`, for rows as they lie in the file."""
        if self._log.stat().st_size > LOG_BYTES:
            # A checkpoint failed before: go on only once the log is back within its bound.
            self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        gone: Counter[Priority] = Counter()
        with self._transaction():
            self._make_room(priority, _pages(rows) + SPARE_PAGES, gone)
            if gone:
                self._keep_dropped(self.dropped + Counter({Reason.FULL: gone.total()}))
            self._queues[priority].insert(rows)
        self.dropped[Reason.FULL] += gone.total()
        for p, count in gone.items():
            self._gone(p, count)
            if not self.counts[p] and p != priority:
                self.segments[p] = [self._emptied(p)]
        self.counts[priority] += len(rows)
        self.next[priority] = max(self.next[priority], rows[-1][0] + 1)
        return gone

    def oldest(self, priority: Priority, limit: int) -> tuple[Chunk | None, list[int]]:
        """The oldest rows of one segment without a gap, at most `limit`; and the numbers of corrupt rows on the way."""
        chunk: list[StoredRow] = []
        corrupt: list[int] = []
        segment = end = None
        for number, stamp, check, payload in self._queues[priority].after(self.delivered[priority], limit):
            if not is_sound(number, stamp, check, payload):
                if number not in self._passed[priority]:
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
            if len(chunk) == limit:
                break
        if segment is None:
            return None, corrupt
        return Chunk(priority, segment.epoch + priority, tuple(chunk)), corrupt

    def held(self, priority: Priority, first: int) -> set[int]:
        """Which sequences from `first` on the file holds, of the epoch it is in."""
        ahead = self.segments[priority][-1].ahead
        return {number + ahead for number in self._queues[priority].numbers(first - ahead)}

    def forget(self, priority: Priority, epoch: int, sequence: int, *, first: int | None = None) -> None:
        """Delete up to and including the row of that epoch and sequence, which was delivered, from `first` on.

        Without `first`, everything older too. When the flash refuses, those rows are at least not given out again, and
        the next call deletes them too.
        """
        of_epoch = [s for s in self.segments[priority] if s.epoch + priority == epoch]
        if not of_epoch:
            return
        last = sequence - of_epoch[-1].ahead
        if first is not None:
            self.forget_up_to(priority, last, None, after=first - of_epoch[-1].ahead - 1)
            return
        self.delivered[priority] = max(self.delivered[priority], last)
        try:
            self.forget_up_to(priority, last, None)
        except sqlite3.Error:
            self._count_kept_on(priority)
            raise

    def note_delivered(self, chunk: Chunk) -> None:
        """As `forget`, while the file is not open: those rows are passed over once it is."""
        ahead = next((s.ahead for s in self.segments[chunk.priority] if s.epoch + chunk.priority == chunk.epoch), None)
        if ahead is not None and (last := chunk.rows[-1].sequence - ahead) > self.delivered[chunk.priority]:
            self.delivered[chunk.priority] = last
            self._kept_on[chunk.priority] += len(chunk.rows)

    def forget_up_to(self, priority: Priority, last: int, reason: Reason | None, *, after: int = -1) -> int:
        """Delete the rows beyond number `after` and up to `last`; how many. Undelivered, they count under `reason`."""
        total = 0
        while (end := self._queues[priority].slice_end(last, TRANSACTION_BYTES, after)) is not None:
            total += self._forget(priority, end, reason, after)
        return total

    def pass_over(self, priority: Priority, numbers: Sequence[int]) -> None:
        """Count rows whose checksum does not fit, give them out no more, and delete them once the flash lets it."""
        self._passed[priority].update(numbers)
        self.dropped[Reason.CORRUPT] += len(numbers)
        self._is_count_kept = False
        self._delete_passed(priority)

    @property
    def depth(self) -> int:
        """How many rows wait to be delivered, without those that only the flash kept from being deleted."""
        return sum(map(self.undelivered, Priority))

    def undelivered(self, priority: Priority) -> int:
        """How many of them are of this priority."""
        count: int = self.counts[priority] - self._kept_on[priority] - len(self._passed[priority])
        return count

    def _settle(self) -> None:
        """Delete what the flash kept when it was to be deleted: it makes room before anything undelivered does."""
        for p in Priority:
            if self._kept_on[p]:
                self.forget_up_to(p, self.delivered[p], None)
            if self._passed[p]:
                self._delete_passed(p)

    def _delete_passed(self, priority: Priority) -> None:
        while some := sorted(self._passed[priority])[:SCATTERED_ROWS]:
            with self._transaction():
                self._queues[priority].delete_each(some)
                self._keep_dropped(self.dropped)
            self._is_count_kept = True
            self._passed[priority].difference_update(some)
            self.counts[priority] -= len(some)

    def _count_kept_on(self, priority: Priority) -> None:
        self._kept_on[priority] = self._queues[priority].count(self.delivered[priority])
        self._passed[priority] = {n for n in self._passed[priority] if n > self.delivered[priority]}

    def _gone(self, priority: Priority, count: int, after: int = -1) -> None:
        """So many are deleted, the oldest beyond number `after`."""
        self.counts[priority] -= count
        if after < self.delivered[priority]:
            self._kept_on[priority] = max(0, self._kept_on[priority] - count)

    def last_expired(self, priority: Priority, before: int) -> int | None:
        """The number of the last row of the oldest with a stamp below `before`."""
        oldest = self._queues[priority].first()
        if oldest is None or oldest[1] >= before:
            return None
        # Stamps grow with numbers, so the first that is young enough ends what is expired.
        young = self._queues[priority].first_since(before)
        return (self.next[priority] if young is None else young) - 1

    def fullness(self) -> float:
        """The share of the file's pages that hold something, 0 to 1."""
        return 1 - self._free_pages() / self.capacity.pages

    def close(self) -> None:
        """Fold the log into the file and let go of it."""
        self.connection.close()

    def _forget(self, priority: Priority, last: int, reason: Reason | None, after: int) -> int:
        with self._transaction():
            count = self._queues[priority].delete(last, after)
            is_emptied = count > 0 and count == self.counts[priority]
            if is_emptied:
                self._keep_segments(priority, [self._emptied(priority)])
            if (reason and count) or not self._is_count_kept:
                self._keep_dropped(self.dropped + Counter({reason: count} if reason else ()))
        self._is_count_kept = True
        if is_emptied:
            self.segments[priority] = [self._emptied(priority)]
        self._passed[priority] = {n for n in self._passed[priority] if not after < n <= last}
        self._gone(priority, count, after)
        if reason:
            self.dropped[reason] += count
        return count

    def _emptied(self, priority: Priority) -> Segment:
        """What an emptied queue keeps: where it was. A number never comes twice, and a gap always means a loss."""
        return self.segments[priority][-1]._replace(first=self.next[priority])

    def _make_room(self, priority: Priority, pages: int, gone: Counter[Priority]) -> None:
        """Delete the oldest rows, of the lowest priority first, until `pages` are free."""
        for p in reversed(Priority):
            left = self.counts[p]
            while p >= priority and left and self._free_pages() < pages:
                deleted = self._queues[p].delete(self._queues[p].slice_end(self.next[p], PAGE_BYTES) or 0)
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
        last = self._queues[priority].last()
        firsts = [segment.first for segment in self.segments[priority]]
        return max([0 if last is None else last[0] + 1, *firsts])

    def _needed_segments(self, priority: Priority) -> list[Segment]:
        """Those that still have rows before the next number."""
        oldest = self._queues[priority].first()
        if oldest is None:
            return []
        segments = self.segments[priority]
        start = max(0, bisect_right(segments, oldest[0], key=lambda s: s.first) - 1)
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


def _pages(rows: Sequence[Row]) -> int:
    """The most pages these rows fill, each left with a remainder that the largest of them does not fit into."""
    sizes = [len(payload) + ROW_OVERHEAD_BYTES for _, _, _, payload in rows]
    return -(-sum(sizes) // (PAGE_BYTES - max(sizes)))
