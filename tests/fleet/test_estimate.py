"""What a plan is said to take follows from the quotas and waits it will meet."""

from collections import Counter
from datetime import timedelta

import pytest

from fleet.routing.estimate import FREE_RECORDS, estimate
from fleet.routing.planner import Tally
from fleet.routing.target import DEFAULT, Target

DOMAIN = "iot.example.com"
EU1, US1 = Target(cluster="eu1"), Target(cluster="us1")
ONE_BY_ONE = timedelta(seconds=90 + 60 + 120)
"""Past the resolvers, stable, and past the lag of presence."""


def tally(before: Target, after: Target, count: int) -> Tally:
    return Tally(changes=count, moves=Counter({(before, after): count}))


@pytest.mark.parametrize(
    ("move", "batches", "zone_seconds", "added"),
    [
        ((DEFAULT, EU1, 1), 1, 61, 1),
        ((DEFAULT, EU1, 1_000), 1, 61, 1_000),
        ((DEFAULT, EU1, 1_001), 2, 61, 1_001),
        ((EU1, US1, 500), 1, 61, 0),
        ((EU1, US1, 501), 2, 61, 0),
        ((EU1, DEFAULT, 3_000), 3, 62, -3_000),
        ((DEFAULT, EU1, 1_000_000), 1_000, 460, 1_000_000),
    ],
)
def test_the_zone_takes_what_the_quotas_allow(
    move: tuple[Target, Target, int], batches: int, zone_seconds: int, added: int
) -> None:
    expected = estimate(tally(*move), DOMAIN, None)
    assert (expected.batches, expected.requests, expected.records_added) == (batches, 2 * batches, added)
    assert expected.zone == timedelta(seconds=zone_seconds)


@pytest.mark.parametrize(("count", "turns"), [(1, 1), (8, 1), (9, 2), (8_000, 1_000)])
def test_each_device_waits_for_its_turn_and_is_then_watched(count: int, turns: int) -> None:
    assert estimate(tally(EU1, US1, count), DOMAIN, None).follow == ONE_BY_ONE + timedelta(seconds=turns)


def test_a_change_of_owner_alone_waits_for_nobody() -> None:
    expected = estimate(tally(EU1, EU1, 5), DOMAIN, None)
    assert (expected.batches, expected.zone, expected.follow) == (0, timedelta(), timedelta())


def test_a_zone_costs_more_only_beyond_what_its_fee_covers() -> None:
    within = estimate(tally(DEFAULT, EU1, 100), DOMAIN, FREE_RECORDS - 100)
    beyond = estimate(tally(DEFAULT, EU1, 1_000), DOMAIN, FREE_RECORDS - 200)
    back = estimate(tally(EU1, DEFAULT, 1_000), DOMAIN, FREE_RECORDS + 800)
    assert within.dollars_a_month == 0
    assert beyond.dollars_a_month == pytest.approx(1.2), "800 records beyond the fee, at $0.0015"
    assert back.dollars_a_month == pytest.approx(-1.2)
    assert estimate(tally(DEFAULT, EU1, 1), DOMAIN, None).dollars_a_month is None
    assert beyond.dollars_once == pytest.approx(1_000 * 20 * 0.625e-6)
