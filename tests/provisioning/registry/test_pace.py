"""How fast the registry may be asked: on a simulated clock, against a cloud that turns away what is too fast."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.errors import RefusedError
from provisioning.registry.pace import LOWEST_SHARE, Pace, seconds_needed
from provisioning.registry.quotas import DEFAULT_PER_SECOND, quotas


@dataclass
class Account:
    """Takes so many calls a second, from a bucket of one second's worth, as AWS does."""

    per_second: float
    tokens: float = field(init=False)
    at: float = 0.0

    def __post_init__(self) -> None:
        self.tokens = self.per_second

    def takes(self, now: float) -> bool:
        self.tokens = min(self.per_second, self.tokens + (now - self.at) * self.per_second)
        self.at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


def run(pace: Pace, account: Account, *, seconds: float, start: float = 0.0) -> tuple[int, int]:
    """How many calls went well, and how many were turned away."""
    now, well, turned_away = start, 0, 0
    while True:
        now += pace.reserve(now)
        if now >= start + seconds:
            return well, turned_away
        if account.takes(now):
            pace.went_well()
            well += 1
        else:
            pace.was_throttled(now)
            turned_away += 1


@given(quota=st.floats(0.5, 500), gaps=st.lists(st.floats(0, 0.5), min_size=1, max_size=200))
def test_no_second_ever_sees_more_than_the_quota_and_one(quota: float, gaps: list[float]) -> None:
    pace, now, sent = Pace(quota), 0.0, []
    for gap in gaps:
        now += gap
        now += pace.reserve(now)
        sent.append(now)
    for first in sent:
        assert sum(first <= each < first + 1 - 1e-9 for each in sent) <= quota + 1


@pytest.mark.parametrize("quota", [10.0, 100.0])
def test_an_account_with_its_whole_quota_is_used_to_nearly_all_of_it(quota: float) -> None:
    well, turned_away = run(Pace(quota), Account(quota), seconds=100)
    assert well >= 99 * quota
    assert turned_away == 0


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_where_neighbours_use_the_quota_the_rest_of_it_is_found(share: float) -> None:
    well, turned_away = run(Pace(10), Account(10 * share), seconds=600)
    assert well >= 0.7 * 600 * 10 * share, "most of what is left is used"
    assert turned_away <= 0.1 * well, "and few calls are wasted on finding out how much that is"


def test_when_the_neighbour_leaves_the_pace_comes_back() -> None:
    pace = Pace(10)
    run(pace, Account(1), seconds=60)
    assert pace.per_second < 5
    run(pace, Account(10), seconds=60, start=60)
    assert pace.per_second == 10


def test_calls_that_were_under_way_together_count_as_one_and_the_pace_never_dies() -> None:
    pace = Pace(100)
    for _ in range(16):
        pace.was_throttled(5.0)
    assert pace.per_second == 50
    for second in range(6, 100):
        pace.was_throttled(float(second))
    assert pace.per_second == 100 * LOWEST_SHARE


def test_the_slowest_call_says_how_long_it_takes() -> None:
    assert seconds_needed(10_000, {"CreateThing": 100, "RegisterCertificate": 10}) == 1_000


def test_an_account_may_have_other_quotas() -> None:
    assert quotas(["RegisterCertificate=50"]) == {**DEFAULT_PER_SECOND, "RegisterCertificate": 50}
    for wrong in (
        "Register=5",
        "RegisterCertificate",
        "RegisterCertificate=0",
        "RegisterCertificate=nan",
        "CreateThing=x",
    ):
        with pytest.raises(RefusedError, match="--rate"):
            quotas([wrong])
