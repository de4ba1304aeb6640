"""What arrived, folded: each measurement once, by device, epoch, sequence number and channel.

The stand-in for a lake where the broker has none behind it. It also looks at what a lake cannot: whether the rows of a
device came in order, and whether a row that came twice was the same.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from zlib import crc32

from device.buffer.epoch import LANES
from device.buffer.row import Priority
from protocol.measurement import Batch, ClockQuality, Reading, Row
from protocol.telemetry import BatchRefusedError, decode_batch

Key = tuple[str, int]
"""Device and epoch."""


@dataclass(slots=True)
class Stored:
    """The rows of one device and epoch."""

    rows: dict[int, int] = field(default_factory=dict)
    """Sequence number to a checksum of what the row says."""
    latest: int = -1
    """The highest sequence number so far."""
    measurements: int = 0


@dataclass
class Arrivals:
    """`source`: what the devices measured at a moment, or nothing where that cannot be known afterwards."""

    source: Callable[[datetime], tuple[Reading, ...]] | None = None
    stored: dict[Key, Stored] = field(default_factory=dict)
    batches: int = 0
    repeated_rows: int = 0
    """Came again, the same; at-least-once costs that."""
    conflicting_rows: int = 0
    """Came again, and said something else: never."""
    overtaken_rows: int = 0
    """Came for the first time after a later row of their device and epoch: never."""
    wrong_rows: int = 0
    """Do not say what the source says of their moment: never. Asked of the rows that sensors made, not of how a device
    is itself."""
    clockless_rows: int = 0
    """Say that their device had no clock."""
    refused: list[str] = field(default_factory=list)
    """Reasons of batches that could not be read: never."""

    def take(self, wire: bytes) -> None:
        """One message from `dt/<device>/batch`."""
        try:
            batch = decode_batch(wire)
        except BatchRefusedError as error:
            self.refused.append(str(error))
            return
        self.batches += 1
        held = self.stored.setdefault((batch.device, batch.epoch), Stored())
        for row in batch.rows:
            self._row(batch, row, held)
            held.latest = max(held.latest, row.sequence)

    def rows(self, device: str, epoch: int) -> int:
        """How many different ones are stored."""
        held = self.stored.get((device, epoch))
        return len(held.rows) if held else 0

    @property
    def total(self) -> int:
        """How many different rows are stored, of all devices."""
        return sum(len(held.rows) for held in self.stored.values())

    def _row(self, batch: Batch, row: Row, held: Stored) -> None:
        said = crc32(repr((row.time, row.readings)).encode())
        before = held.rows.get(row.sequence)
        if before is not None:
            self.repeated_rows += 1
            self.conflicting_rows += before != said
            return
        held.rows[row.sequence] = said
        held.measurements += len(row.readings)
        self.overtaken_rows += row.sequence < held.latest
        self.clockless_rows += batch.clock is ClockQuality.UNKNOWN
        if self.source is not None and batch.epoch % LANES == Priority.NORMAL:
            self.wrong_rows += row.readings != self.source(row.time)
