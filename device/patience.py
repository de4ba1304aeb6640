"""How long a device waits before it dials again: what it remembers of its failures, and the waits that follow."""

from datetime import timedelta

from device.surroundings import Surroundings
from protocol.bundle import Bundle
from protocol.measurement import ClockQuality
from protocol.traffic import STABLE_AFTER, dismissed_delay, retry_delay


class Patience:
    """One device's."""

    __slots__ = ("_bundle", "_connected_at", "_dismissed_at", "failures")

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self.failures = 0
        """In a row; a connection that lasted `STABLE_AFTER` ends the row."""
        self._connected_at = 0.0
        self._dismissed_at: float | None = None

    def connected(self, now: float) -> None:
        """A connection stands from `now` on."""
        self._connected_at = now

    def over(self, now: float) -> None:
        """It stood until `now`."""
        if now - self._connected_at >= STABLE_AFTER.total_seconds():
            self.failures = 0

    def delay(
        self, surroundings: Surroundings, *, was_ever_admitted: bool, was_connected: bool, was_dismissed: bool
    ) -> timedelta:
        """The wait after one more failure, by the clock where that was ever set."""
        self.failures += 1
        is_unset = surroundings.clock_quality() is ClockQuality.UNKNOWN
        delay = retry_delay(
            self.failures - 1,
            surroundings.random,
            was_ever_admitted=was_ever_admitted,
            window=self._bundle.reconnect_window,
            was_connected=was_connected,
            place=self._bundle.reconnect_place,
            now=None if is_unset else surroundings.clock(),
        )
        if was_dismissed and self._may_return_quickly(surroundings.monotonic()):
            return dismissed_delay(surroundings.random)
        return delay

    def _may_return_quickly(self, now: float) -> bool:
        """Whether no other dismissal was within `STABLE_AFTER`: who is sent away again and again keeps its place."""
        last, self._dismissed_at = self._dismissed_at, now
        return last is None or now - last >= STABLE_AFTER.total_seconds()
