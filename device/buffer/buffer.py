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
from pathlib import Path
from typing import Any, TypeVar

from device.buffer.capacity import Capacity
from device.buffer.epoch import RandomBits, next_epoch, recall_epoch, remember_epoch
from device.buffer.row import MAX_ROW_BYTES, Chunk, Priority, Reason, StoredRow, transactions
from device.buffer.store import NoRoomError, Store
from device.buffer.store_file import DamagedError, is_damage, quarantine

MEMORY_BYTES = 64 * 1024
"""What waits in memory while the flash takes nothing: ten minutes of ordinary rows at one a second."""

Emit = Callable[[dict[str, Any]], None]
Result = TypeVar("Result")


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
        self.folder, self.capacity, self.emit, self.monotonic = folder, capacity, emit, monotonic
        self.times_to_live = times_to_live or {}
        self.waiting: dict[Priority, deque[StoredRow]] = {p: deque() for p in Priority}
        self._waiting_bytes = 0
        self._started, self._age_before = monotonic(), 0
        self._lost: Counter[Reason] = Counter()
        self._is_available = True
        self._has_begun = False
        self._store: Store | None = None
        store = self._opened()
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
            chunk = self._attempt(partial(self._sound, priority=p, limit=limit)) or self._from_memory(p, limit)
            if chunk:
                return chunk
        return None

    def acknowledge(self, chunk: Chunk) -> None:
        """`chunk` arrived: forget it and whatever of its priority is older."""
        last = chunk.rows[-1].sequence
        waiting = self.waiting[chunk.priority]
        if chunk.epoch == self.epoch + chunk.priority:
            while waiting and waiting[0].sequence <= last:
                self._waiting_bytes -= len(waiting.popleft().payload)
        self._attempt(lambda store: store.forget(chunk.priority, chunk.epoch, last))

    @property
    def depth(self) -> int:
        """How many rows wait to be delivered."""
        stored = self._store.depth if self._store else 0
        return stored + sum(map(len, self.waiting.values()))

    @property
    def dropped(self) -> Mapping[Reason, int]:
        """How many rows were given up, by reason, since the file was made; `unstored` since this start."""
        return self._lost + (self._store.dropped if self._store else Counter())

    def fullness(self) -> float:
        """The share of the file that is in use, 0 to 1; 1 when the flash takes nothing."""
        share = self._attempt(Store.fullness)
        return 1.0 if share is None or not self._is_available else min(1.0, share)

    def close(self) -> None:
        """Let go of the file; a buffer that is killed instead loses nothing."""
        if self._store:
            self._store.close()
            self._store = None

    def _write_out(self, priority: Priority) -> bool:
        """Store what waits; once more when the file turned out to be damaged and a new one was begun."""
        return self._attempt(lambda store: self._insert(store, priority)) or (
            self._store is None and self._attempt(lambda store: self._insert(store, priority)) is True
        )

    def _insert(self, store: Store, priority: Priority) -> bool:
        if not self._has_begun:
            store.begin(self.epoch, {p: w[0].sequence if (w := self.waiting[p]) else self._next[p] for p in Priority})
            self._has_begun = True
        waiting = self.waiting[priority]
        for group in list(transactions(list(waiting))):
            try:
                gone = store.insert(priority, group)
            except NoRoomError:
                self._tell_dropped(priority, Reason.FULL, len(group))
                self._lost[Reason.FULL] += len(group)
                is_stored = False
            else:
                for p, count in gone.items():
                    self._tell_dropped(p, Reason.FULL, count)
                is_stored = True
            for row in group:
                self._waiting_bytes -= len(row.payload)
                waiting.popleft()
            if not is_stored:
                return False
        self._tell_available()
        return True

    def _sound(self, store: Store, priority: Priority, limit: int) -> Chunk | None:
        """The oldest rows that are what was written; the others are dropped."""
        while True:
            chunk, corrupt = store.oldest(priority, limit)
            if corrupt:
                store.forget_corrupt(priority, corrupt)
                self._tell_dropped(priority, Reason.CORRUPT, len(corrupt))
            if chunk or not corrupt:
                return chunk

    def _from_memory(self, priority: Priority, limit: int) -> Chunk | None:
        rows: list[StoredRow] = []
        for row in self.waiting[priority]:
            if len(rows) == limit or (rows and row.sequence != rows[-1].sequence + 1):
                break
            rows.append(row)
        return Chunk(priority, self.epoch + priority, tuple(rows)) if rows else None

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

        count += self._attempt(expire) or 0
        if count:
            self._tell_dropped(priority, Reason.EXPIRED, count)

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
                self._tell_dropped(p, Reason.UNSTORED, count)

    def _attempt(self, work: Callable[[Store], Result]) -> Result | None:
        """What `work` returns; None when the flash did not let it, which is told once until it does again."""
        store = self._opened()
        if store is None:
            return None
        try:
            return work(store)
        except sqlite3.Error as error:
            if is_damage(error):
                self._quarantine(str(error))
            else:
                self._tell_unavailable(str(error))
        except OSError as error:
            self._tell_unavailable(str(error))
        return None

    def _opened(self) -> Store | None:
        for _ in range(2):
            if self._store:
                break
            try:
                self._store = Store(self.folder, self.capacity)
                self._age_before = max(self._age_before, self._store.last_stamp)
            except DamagedError as error:
                self._quarantine(str(error))
            except (sqlite3.Error, OSError) as error:
                self._tell_unavailable(str(error))
                break
        return self._store

    def _quarantine(self, reason: str) -> None:
        rows = sum(self._store.counts.values()) if self._store else None
        if self._store:
            self._lost += self._store.dropped
            self._store.close()
        self._store, self._has_begun = None, False
        try:
            kept = quarantine(self.folder)
        except OSError as error:
            self._tell_unavailable(f"{reason}; and it cannot be put aside: {error}")
            return
        self.emit({"event": "buffer_quarantined", "reason": reason, "rows": rows, "kept": kept.name})

    def _tell_dropped(self, priority: Priority, reason: Reason, rows: int) -> None:
        self.emit({"event": "buffer_dropped", "priority": priority.name.lower(), "reason": reason.value, "rows": rows})

    def _tell_unavailable(self, reason: str) -> None:
        if self._is_available:
            self.emit({"event": "buffer_unavailable", "reason": reason})
        self._is_available = False

    def _tell_available(self) -> None:
        if not self._is_available:
            self.emit({"event": "buffer_available"})
        self._is_available = True
