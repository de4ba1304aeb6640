"""What a device measures: rows of readings, and the batch they travel in."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import IntEnum

from protocol.device_id import DeviceId


class ClockQuality(IntEnum):
    """How far the times of a batch can be trusted."""

    UNKNOWN = 0
    """The device had no clock since it started; its times are an order, not a moment."""
    HELD = 1
    """Set once, then kept by the device's own oscillator."""
    SYNCHRONIZED = 2
    """Checked against a trusted source within the last day."""


@dataclass(frozen=True)
class Reading:
    """One channel at one moment. `value` is exact decimal; `unit` is a SenML unit (RFC 8428, section 12.1)."""

    channel: str
    value: Decimal
    unit: str


@dataclass(frozen=True)
class Row:
    """What was sampled at one moment. `time`: UTC, whole milliseconds. `sequence` never repeats within an epoch."""

    sequence: int
    time: datetime
    readings: tuple[Reading, ...]


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Consecutive rows of one device; never empty."""

    device: DeviceId
    epoch: int
    """Changes whenever the device's buffer starts anew, so that (device, epoch, sequence) names a row for ever."""
    firmware: str
    boot_count: int
    clock: ClockQuality
    rows: tuple[Row, ...]

    @property
    def first(self) -> int:
        """The first row's sequence number."""
        return self.rows[0].sequence

    @property
    def last(self) -> int:
        """The last row's sequence number."""
        return self.rows[-1].sequence

    @property
    def measurements(self) -> int:
        """How many readings the batch holds."""
        return sum(len(row.readings) for row in self.rows)
