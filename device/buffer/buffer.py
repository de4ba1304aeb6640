"""The buffer as the agent sees it: append, take the oldest, acknowledge; whatever the flash does, it goes on.

`append` returns True when every row is durable. From then on each row is given out by `oldest` until it is acknowledged
or told as dropped, always under the same epoch and sequence, so that a receiver folds what comes twice. Rows the flash
does not take wait in memory, are delivered from there, and are stored first when it takes them again.
"""

import sqlite3
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from operator import attrgetter
from pathlib import Path

from device.buffer.access import Access, Emit
from device.buffer.capacity import Capacity
from device.buffer.epoch import RandomBits, next_epoch, recall_epoch, remember_epoch
from device.buffer.row import MAX_ROW_BYTES, Chunk, Priority, Reason, StoredRow, transactions
from device.buffer.store import NoRoomError, Store
from device.buffer.store_file import is_damage

MEMORY_BYTES = 64 * 1024
"""What waits in memory while the flash takes nothing: ten minutes of ordinary rows at one a second."""


class RowTooLargeError(ValueError):
    """A row that no page can hold."""


class Buffer:
    """One device's rows on their way. Not for several threads, and one process a folder."""

    def __init__(
        self,
        folder: Path,
        capacity: Capacity,
        *,
        now: datetime,
        monotonic: Callable[[], float],
        random_bits: RandomBits,
        emit: Emit,
        times_to_live: Mapping[Priority, timedelta] | None = None,
    ) -> None:
        """Open or make the buffer in `folder`. `now` may be wrong: it only helps to tell epochs apart.

        `monotonic`: seconds that only go forward; times-to-live are counted in them, over all starts, and not by the
        clock, so that a clock that jumps a year ahead expires nothing.
        """
        self.capacity, self.monotonic = capacity, monotonic
        self.times_to_live = times_to_live or {}
        self.waiting: dict[Priority, deque[StoredRow]] = {p: deque() for p in Priority}
        self._waiting_bytes = 0
        self._started, self._age_before = monotonic(), 0
        self._lost: Counter[Reason] = Counter()
        self._has_begun, self.epoch = False, 0
        self.access = Access(folder, capacity, monotonic=monotonic, emit=emit, on_open=self._adopt)
        store = self.access.opened()
        self._next = store.upcoming() if store else dict.fromkeys(Priority, 0)
        self.epoch = next_epoch(max(recall_epoch(folder), store.last_epoch if store else 0), now, random_bits)
        # Without the flash the epoch is still one that no other start has; only its order is lost.
        with suppress(OSError):
            remember_epoch(folder, self.epoch)

    def append(self, payloads: Iterable[bytes], priority: Priority = Priority.NORMAL) -> bool:
        """Store a group; True when it is durable, False when it waits in memory or was dropped, which was told.

        `RowTooLargeError` before anything is stored, when one of them exceeds `MAX_ROW_BYTES`.
        """
        stamp = self._age()
        rows = [StoredRow(number, stamp, payload) for number, payload in enumerate(payloads, self._next[priority])]
        for row in rows:
            if len(row.payload) > MAX_ROW_BYTES:
                raise RowTooLargeError(f"a row of {len(row.payload)} bytes; the buffer takes up to {MAX_ROW_BYTES}")
        self._next[priority] += len(rows)
        self.waiting[priority].extend(rows)
        self._waiting_bytes += sum(len(row.payload) for row in rows)
        if self._age_limit(priority) is not None:
            self._expire(priority)
        outcomes = [self._write_out(p) for p in Priority if self.waiting[p]]
        self._bound_memory()
        return all(outcomes)

    def oldest(self, limit: int) -> Chunk | None:
        """At most `limit` of the oldest rows of the highest priority that has any; None when all is delivered."""
        for p in Priority:
            self._expire(p)
            read = self.access.attempt(partial(self._sound, priority=p, limit=limit))
            if read is not None:
                self.access.tell_read()
            elif self.access.owes(p):
                # What is in memory is newer than what is stored, and its turn comes later.
                continue
            if chunk := read[0] if read else self._from_memory(p, limit):
                return chunk
        return None

    def acknowledge(self, chunk: Chunk) -> None:
        """`chunk` arrived: forget it, and what was to be given out before it."""
        last = chunk.rows[-1].sequence
        waiting = self.waiting[chunk.priority]
        if chunk.epoch == self.epoch + chunk.priority:
            while waiting and waiting[0].sequence <= last:
                self._waiting_bytes -= len(waiting.popleft().payload)
        first = chunk.rows[0].sequence if chunk.is_from_memory else None
        self.access.attempt(lambda store: store.forget(chunk.priority, chunk.epoch, last, first=first))
        if self.access.store is None and self.access.known and not chunk.is_from_memory:
            self.access.known.note_delivered(chunk)

    @property
    def depth(self) -> int:
        """How many rows wait to be delivered."""
        known = self.access.known
        return (known.depth if known else 0) + sum(map(len, self.waiting.values()))

    @property
    def dropped(self) -> Mapping[Reason, int]:
        """How many rows were given up, by reason, since the file was made; `unstored` since this start."""
        known = self.access.known
        return self._lost + (known.dropped if known else Counter())

    def fullness(self) -> float:
        """The share of the file that is in use, 0 to 1; 1 when the flash takes nothing."""
        share = self.access.attempt(Store.fullness)
        return 1.0 if share is None or not self.access.is_available else min(1.0, share)

    def close(self) -> None:
        """Let go of the file; a buffer that is killed instead loses nothing."""
        self.access.close()

    def _write_out(self, priority: Priority) -> bool:
        """Store what waits."""
        return self.access.attempt(lambda store: self._insert(store, priority)) is True

    def _adopt(self, store: Store) -> None:
        """A file was opened; if it is this start's, some of what waits may have got into it after all."""
        self._has_begun = store.is_of(self.epoch)
        if not self._has_begun:
            self._age_before = max(self._age_before, store.last_stamp)
            return
        for p, waiting in self.waiting.items():
            if waiting:
                held = store.held(p, waiting[0].sequence)
                self.waiting[p] = deque(row for row in waiting if row.sequence not in held)
        self._waiting_bytes = sum(len(row.payload) for waiting in self.waiting.values() for row in waiting)

    def _insert(self, store: Store, priority: Priority) -> bool:
        if not self._has_begun:
            store.begin(self.epoch, {p: w[0].sequence if (w := self.waiting[p]) else self._next[p] for p in Priority})
            self._has_begun = True
        waiting = self.waiting[priority]
        for group in list(transactions(list(waiting), attrgetter("payload"))):
            try:
                gone = store.insert(priority, group)
            except NoRoomError:
                self.access.tell_dropped(priority, Reason.FULL, len(group))
                self._lost[Reason.FULL] += len(group)
                is_stored = False
            else:
                for p, count in gone.items():
                    self.access.tell_dropped(p, Reason.FULL, count)
                is_stored = True
            for row in group:
                self._waiting_bytes -= len(row.payload)
                waiting.popleft()
            if not is_stored:
                return False
        self.access.tell_available()
        return True

    def _sound(self, store: Store, priority: Priority, limit: int) -> list[Chunk]:
        """The oldest rows that are what was written, if there are any; the others are dropped."""
        while True:
            chunk, corrupt = store.oldest(priority, limit)
            if corrupt:
                self.access.tell_dropped(priority, Reason.CORRUPT, len(corrupt))
                try:
                    store.pass_over(priority, corrupt)
                except sqlite3.Error as error:
                    if is_damage(error):
                        raise
                    self.access.tell_unavailable(str(error))
            if chunk or not corrupt:
                return [chunk] if chunk else []

    def _from_memory(self, priority: Priority, limit: int) -> Chunk | None:
        rows: list[StoredRow] = []
        for row in self.waiting[priority]:
            if len(rows) == limit or (rows and row.sequence != rows[-1].sequence + 1):
                break
            rows.append(row)
        return Chunk(priority, self.epoch + priority, tuple(rows), is_from_memory=True) if rows else None

    def _expire(self, priority: Priority) -> None:
        before = self._age_limit(priority)
        if before is None:
            return
        waiting, count = self.waiting[priority], 0
        while waiting and waiting[0].stamp < before:
            self._waiting_bytes -= len(waiting.popleft().payload)
            count += 1
        self._lost[Reason.EXPIRED] += count

        def expire(store: Store) -> int:
            last = store.last_expired(priority, before)
            return 0 if last is None else store.forget_up_to(priority, last, Reason.EXPIRED)

        count += self.access.attempt(expire) or 0
        if count:
            self.access.tell_dropped(priority, Reason.EXPIRED, count)

    def _age_limit(self, priority: Priority) -> int | None:
        lifetime = self.times_to_live.get(priority)
        return None if lifetime is None else self._age() - int(lifetime.total_seconds())

    def _age(self) -> int:
        """Seconds of operation, over all starts as far as the file remembers them."""
        return self._age_before + int(self.monotonic() - self._started)

    def _bound_memory(self) -> None:
        for p in reversed(Priority):
            count = 0
            while self._waiting_bytes > MEMORY_BYTES and self.waiting[p]:
                self._waiting_bytes -= len(self.waiting[p].popleft().payload)
                count += 1
            if count:
                self._lost[Reason.UNSTORED] += count
                self.access.tell_dropped(p, Reason.UNSTORED, count)
