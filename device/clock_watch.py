"""Tells when the clock was set: it then ran further, or less far, than time did."""

from datetime import datetime, timedelta

TOLERANCE = timedelta(seconds=2)
"""A time service that slews moves a clock by half a millisecond a second; whatever is more was a jump."""


class ClockWatch:
    """Compares the clock with a count of seconds that only goes forward."""

    __slots__ = ("_moment", "_monotonic")

    def __init__(self) -> None:
        self._moment: datetime | None = None
        self._monotonic = 0.0

    def jump(self, moment: datetime, monotonic: float) -> timedelta | None:
        """By how much the clock jumped since the last look; nothing when it did not."""
        before, since = self._moment, timedelta(seconds=monotonic - self._monotonic)
        self._moment, self._monotonic = moment, monotonic
        if before is None:
            return None
        jumped = moment - before - since
        return jumped if abs(jumped) > TOLERANCE else None
