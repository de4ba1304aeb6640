"""What a device remembers of its failures: a connection that lasted ends them, one that did not changes nothing."""

from dataclasses import replace
from datetime import timedelta

import pytest

from device.patience import Patience
from protocol.traffic import STABLE_AFTER, dismissed_delay
from tests.device.desk import BUNDLE
from tests.device.surroundings import surroundings

STABLE = STABLE_AFTER.total_seconds()


def half() -> float:
    return 0.5


class Device:
    """Its patience, and a clock that the test turns."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.patience = Patience(BUNDLE)
        self._world = replace(surroundings(), monotonic=lambda: self.now, random=half)

    def fails(self, *, is_dismissed: bool = False) -> timedelta:
        """The wait that follows."""
        return self.patience.delay(
            self._world, was_ever_admitted=False, was_connected=is_dismissed, was_dismissed=is_dismissed
        )

    def is_connected_for(self, seconds: float) -> None:
        self.patience.connected(self.now)
        self.now += seconds
        self.patience.over(self.now)


@pytest.mark.parametrize(("seconds", "begins_anew"), [(STABLE - 1, False), (STABLE, True)])
def test_the_waits_grow_from_failure_to_failure_until_a_connection_lasted(seconds: float, *, begins_anew: bool) -> None:
    device = Device()
    first, second = device.fails(), device.fails()
    assert first < second
    device.is_connected_for(seconds)
    third = device.fails()
    assert (third == first) is begins_anew
    assert (third > second) is not begins_anew


def test_who_is_sent_away_comes_back_quickly_once_a_minute_and_else_waits_as_for_any_failure() -> None:
    device = Device()
    assert device.fails(is_dismissed=True) == dismissed_delay(half)
    device.now += STABLE - 1
    assert device.fails(is_dismissed=True) != dismissed_delay(half)
    device.now += STABLE
    assert device.fails(is_dismissed=True) == dismissed_delay(half)
