"""What a network does to a connection: the arithmetic of delay, bandwidth and loss."""

import math
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.simulator.conditions import (
    GOOD,
    LONGEST_RETRANSMIT_SECONDS,
    RETRANSMIT_SECONDS,
    SEGMENT_BYTES,
    Conditions,
    Direction,
    stall_seconds,
)


def chance(seed: int) -> Callable[[], float]:
    return Random(seed).random  # noqa: S311 - a repeatable stream, no secret


def test_a_good_network_delivers_at_once() -> None:
    assert Direction().arrival(7.0, 100_000, GOOD, chance(1)) == 7.0


def test_bytes_wait_for_those_before_them_on_a_narrow_link() -> None:
    narrow, direction = Conditions(bytes_per_second=1_000, delay_seconds=2), Direction()
    assert direction.arrival(0.0, 500, narrow, chance(1)) == 2.5
    assert direction.arrival(0.0, 500, narrow, chance(1)) == 3.0, "sent after the first"
    assert direction.arrival(10.0, 500, narrow, chance(1)) == 12.5, "the link was idle meanwhile"


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(1, 20_000)), min_size=2, max_size=30), st.integers(0, 99))
def test_bytes_never_overtake_each_other_whatever_the_jitter(sent: list[tuple[float, int]], seed: int) -> None:
    rough = Conditions(delay_seconds=0.1, jitter_seconds=3, bytes_per_second=5_000, loss=0.3)
    direction, random, now, arrivals = Direction(), chance(seed), 0.0, list[float]()
    for pause, size in sent:
        now += pause
        arrivals.append(direction.arrival(now, size, rough, random))
        assert arrivals[-1] >= now + rough.delay_seconds
    assert arrivals == sorted(arrivals)


def test_a_lost_segment_waits_for_a_timer_that_doubles_up_to_its_longest() -> None:
    answers = iter([0.1, 0.1, 0.9])
    assert stall_seconds(1, 0.2, lambda: next(answers)) == pytest.approx(RETRANSMIT_SECONDS * 3), "once, and twice that"
    unlucky = iter([0.0] * 20 + [1.0])
    waited = [min(RETRANSMIT_SECONDS * 2**n, LONGEST_RETRANSMIT_SECONDS) for n in range(20)]
    assert stall_seconds(1, 0.2, lambda: next(unlucky)) == pytest.approx(sum(waited))


def test_a_fifth_lost_costs_a_segment_a_fifteenth_of_a_second_on_average() -> None:
    """Each retransmission is needed with p times the chance of the one before, and waits twice as long."""
    random = chance(1)
    mean = stall_seconds(100_000, 0.2, random) / 100_000
    assert mean == pytest.approx(RETRANSMIT_SECONDS * 0.2 / (1 - 0.4), rel=0.1)
    assert stall_seconds(100_000, 0.0, random) == 0.0


def test_a_message_of_several_segments_has_as_many_chances_to_be_held_up() -> None:
    lossy = Conditions(loss=0.5)
    seldom = sum(Direction().arrival(0, SEGMENT_BYTES, lossy, chance(n)) > 0 for n in range(200))
    often = sum(Direction().arrival(0, 5 * SEGMENT_BYTES, lossy, chance(n)) > 0 for n in range(200))
    assert seldom < 130
    assert often > 180


@pytest.mark.parametrize("wrong", [{"loss": 1.0}, {"loss": -0.1}, {"delay_seconds": -1}, {"bytes_per_second": 0}])
def test_what_no_network_does_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"not negative|a share from 0"):
        Conditions(**wrong)  # type: ignore[arg-type]  # one of them


def test_the_defaults_are_perfect() -> None:
    assert Conditions() == GOOD
    assert (GOOD.bytes_per_second, GOOD.forgets_after_seconds) == (math.inf, math.inf)
