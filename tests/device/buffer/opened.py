"""A buffer on a test's folder, with a clock that the test moves and events that it reads."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from device.buffer.buffer import Buffer
from device.buffer.capacity import MIN_BYTES, Capacity
from device.buffer.row import Priority

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Bench:
    """What surrounds a buffer: it is opened as often as the test likes."""

    folder: Path
    total_bytes: int = MIN_BYTES
    times_to_live: Mapping[Priority, timedelta] | None = None
    now: datetime = NOW
    seconds: float = 0.0
    events: list[dict[str, Any]] = field(default_factory=list)
    random: Random = field(default_factory=lambda: Random(1))  # noqa: S311 - repeatable

    def open(self) -> Buffer:
        return Buffer(
            self.folder,
            Capacity.of_bytes(self.total_bytes),
            now=self.now,
            monotonic=lambda: self.seconds,
            random_bits=self.random.getrandbits,
            emit=self.events.append,
            times_to_live=self.times_to_live,
        )

    def told(self, event: str) -> list[dict[str, Any]]:
        return [told for told in self.events if told["event"] == event]


def drain(buffer: Buffer, limit: int = 60) -> list[tuple[int, int, bytes]]:
    """Everything, acknowledged as it comes: epoch, sequence, payload."""
    rows = []
    while chunk := buffer.oldest(limit):
        rows += [(chunk.epoch, row.sequence, row.payload) for row in chunk.rows]
        buffer.acknowledge(chunk)
    return rows
