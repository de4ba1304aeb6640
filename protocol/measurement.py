"""What a device measures: rows of readings, and the batch they travel in."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import IntEnum

from protocol.device_id import DeviceId


class ClockQuality(IntEnum):
    """How far the times of a batch can be trusted."""

    UNKNOWN = 0
    """The device had no clock since it started; its times are `moment_of_uptime`, an order and not a moment."""
    HELD = 1
    """Set once, then kept by the device's own oscillator."""
    SYNCHRONIZED = 2
    """Checked against a trusted source within the last day."""


UPTIME_ORIGIN = datetime(1978, 7, 4, 21, 24, 16, tzinfo=UTC)
"""2^28 seconds after 1970: where a device without a clock lets its time begin at every start. It is the first moment
that SenML does not take for relative to now (RFC 8428, section 4.5.3), and decades before any true one."""


def moment_of_uptime(uptime: timedelta) -> datetime:
    """The time a device without a clock gives a row it sampled `uptime` after its start; clock quality `UNKNOWN`."""
    return UPTIME_ORIGIN + uptime


def uptime_of_moment(moment: datetime) -> timedelta:
    """The uptime in such a time."""
    return moment - UPTIME_ORIGIN


@dataclass(frozen=True)
class Reading:
    """One channel at one moment. `value` is exact decimal; `unit` is a SenML unit (RFC 8428, section 12.1)."""

    channel: str
    value: Decimal
    unit: str


@dataclass(frozen=True)
class Row:
    """What was sampled at one moment: `time` in UTC, whole milliseconds, from `UPTIME_ORIGIN` on.

    `sequence` never repeats within an epoch, and a channel never within a row.
    """

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
