"""Places lie evenly wherever one looks, and ledgers that never met do not meet in them."""

from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.reconnect_place import reconnect_place

SECONDS = 500
"""Of a window."""


def by_second(places: Iterable[float], seconds: int = SECONDS) -> Sequence[int]:
    counted = Counter(int(place * seconds) for place in places)
    return [counted[second] for second in range(seconds)]


def variance(counts: Sequence[int]) -> float:
    """Over what chance gives: 1 is Poisson."""
    mean = sum(counts) / len(counts)
    return sum((count - mean) ** 2 for count in counts) / len(counts) / mean


def test_a_place_is_the_same_for_ever() -> None:
    """It stands in bundles. A change here means that older and newer devices share a sequence no more."""
    told = [reconnect_place(number, "ledger") for number in (0, 1, 2, 10**9)]
    assert told == [0.9924927379470319, 0.6105267265811563, 0.2285607154481113, 0.7423875860404223]


@given(st.integers(0, 2**62), st.text())
def test_a_place_lies_in_the_window(number: int, ledger: str) -> None:
    assert 0 <= reconnect_place(number, ledger) < 1


@given(st.integers(0, 10**7), st.integers(1, 3000), st.text(max_size=8))
def test_whatever_run_of_a_ledger_went_to_one_place_it_is_even_there(first: int, count: int, ledger: str) -> None:
    counts = by_second((reconnect_place(number, ledger) for number in range(first, first + count)), 100)
    assert max(counts) - min(counts) <= 5, "by chance it would be twenty for the longest"


@pytest.mark.parametrize("step", [1, 2, 3, 4, 7])
def test_a_ledger_that_numbers_other_things_too_is_as_even(step: int) -> None:
    places = [reconnect_place(number, "ledger") for number in range(0, 20_000 * step, step)]
    assert variance(by_second(places)) < 0.05


def test_a_batch_that_numbers_its_certificates_between_is_as_even() -> None:
    numbers = [block * 201 + each for block in range(200) for each in range(100)]
    assert variance(by_second(reconnect_place(number, "ledger") for number in numbers)) < 0.05


def test_ledgers_that_never_met_are_together_no_worse_than_chance_and_better_the_longer_each_is() -> None:
    def of_fleets(ledgers: int, devices_each: int) -> float:
        """The mean over some fleets: which turns its ledgers have is a fleet's own luck."""
        return fmean(
            variance(
                by_second(
                    reconnect_place(number, f"ledger {ledger} of fleet {fleet}")
                    for ledger in range(ledgers)
                    for number in range(devices_each)
                )
            )
            for fleet in range(30)
        )

    assert of_fleets(40, 50) == pytest.approx(1 - 50 / SECONDS, abs=0.2), "the shorter, the more as by chance"
    assert of_fleets(2, 2000) < 0.1
