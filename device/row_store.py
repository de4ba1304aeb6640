"""What the agent asks of the store between sampling and sending. `device.buffer` is the durable one.

A row that `append` took is given out by `oldest` until it is acknowledged or told as dropped, always under the same
epoch and sequence. Rows of one priority come out in the order they went in.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from device.buffer.row import MAX_ROW_BYTES, Chunk, Priority, Reason, StoredRow


class RowStore(Protocol):
    """Rows on their way."""

    @property
    def epoch(self) -> int:
        """Of the rows appended since this start; each priority adds itself to it."""

    @property
    def depth(self) -> int:
        """How many rows wait to be delivered."""

    @property
    def dropped(self) -> Mapping[Reason, int]:
        """How many rows were given up, by reason."""

    def append(self, payloads: Iterable[bytes], priority: Priority = Priority.NORMAL) -> bool:
        """Store a group; True when it is as durable as this store makes it. At most `MAX_ROW_BYTES` a row."""

    def oldest(self, limit: int) -> Chunk | None:
        """At most `limit` of the oldest rows of the highest priority that has any; None when all is delivered."""

    def acknowledge(self, chunk: Chunk) -> None:
        """`chunk` arrived: forget it, and what was to be given out before it."""

    def fullness(self) -> float:
        """The share of the store that is in use, 0 to 1."""

    def close(self) -> None:
        """Let go of it."""


class MemoryRows:
    """Rows in memory, under the same contract, for simulated devices; power cuts and times-to-live take the buffer."""

    __slots__ = ("_bound", "_bytes", "_emit", "_first", "_rows", "dropped", "epoch")

    def __init__(self, epoch: int, *, bound_bytes: int, emit: Callable[[dict[str, Any]], None]) -> None:
        """`epoch`: from `device.buffer.epoch`; `bound_bytes`: the oldest of the lowest priority go beyond it."""
        self.epoch, self._bound, self._emit, self._bytes = epoch, bound_bytes, emit, 0
        self._rows: dict[Priority, deque[bytes]] = {}
        self._first = dict.fromkeys(Priority, 0)
        self.dropped: dict[Reason, int] = {}

    @property
    def depth(self) -> int:
        """How many rows wait to be delivered."""
        return sum(map(len, self._rows.values()))

    def append(self, payloads: Iterable[bytes], priority: Priority = Priority.NORMAL) -> bool:
        """Keep a group; True, though some of it may have been dropped at once, which was told."""
        rows = self._rows.setdefault(priority, deque())
        for payload in payloads:
            if len(payload) > MAX_ROW_BYTES:
                raise ValueError(f"a row of {len(payload)} bytes; the store takes up to {MAX_ROW_BYTES}")
            rows.append(payload)
            self._bytes += len(payload)
        for lowest in reversed(Priority):
            self._make_room(lowest)
        return True

    def oldest(self, limit: int) -> Chunk | None:
        """At most `limit` of the oldest rows of the highest priority that has any; None when all is delivered."""
        for priority in Priority:
            if rows := self._rows.get(priority):
                first = self._first[priority]
                taken = tuple(StoredRow(first + index, 0, rows[index]) for index in range(min(limit, len(rows))))
                return Chunk(priority, self.epoch + priority, taken)
        return None

    def acknowledge(self, chunk: Chunk) -> None:
        """`chunk` arrived: forget it and whatever of its priority is older."""
        while self._rows[chunk.priority] and self._first[chunk.priority] <= chunk.rows[-1].sequence:
            self._forget(chunk.priority)

    def fullness(self) -> float:
        """The share of the bound that is in use."""
        return min(1.0, self._bytes / self._bound)

    def close(self) -> None:
        """Nothing to let go of."""

    def _forget(self, priority: Priority) -> None:
        self._bytes -= len(self._rows[priority].popleft())
        self._first[priority] += 1

    def _make_room(self, priority: Priority) -> None:
        count = 0
        while self._bytes > self._bound and self._rows.get(priority):
            self._forget(priority)
            count += 1
        if count:
            self.dropped[Reason.FULL] = self.dropped.get(Reason.FULL, 0) + count
            told = {"priority": priority.name.lower(), "reason": Reason.FULL.value, "rows": count}
            self._emit({"event": "buffer_dropped"} | told)
