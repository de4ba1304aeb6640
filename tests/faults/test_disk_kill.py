"""The station is killed at every call of an issuance that changes the disk."""

import pytest

from tests.faults.bench import Bench, Point
from tests.faults.cases import KILL, all_broken

pytestmark = pytest.mark.judge

KINDS = ("openat", "write", "pwrite64", "ftruncate", "fsync", "fdatasync", "rename", "link", "unlink", "mkdir")
"""What an issuance calls to change the disk."""


def test_the_calls_of_an_issuance_are_all_of_a_kind_that_is_struck(points: list[Point]) -> None:
    assert {point.call for point in points} == set(KINDS)
    assert len(points) >= 60, "three faults each are the 180 cases"


@pytest.mark.parametrize("kind", KINDS)
def test_killed_at_any_call_nothing_acknowledged_is_lost_and_a_rerun_ends_it(
    kind: str, bench: Bench, points: list[Point]
) -> None:
    assert all_broken(bench, [point for point in points if point.call == kind], KILL) == {}
