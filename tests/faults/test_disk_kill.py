"""The station is killed at every call of an issuance that changes the disk."""

import pytest

from tests.faults.bench import Bench
from tests.faults.cases import KILL, all_broken
from tests.faults.works import ISSUANCES, Work

pytestmark = pytest.mark.judge

KINDS = {"openat", "write", "pwrite64", "ftruncate", "fsync", "fdatasync", "rename", "link", "unlink", "mkdir"}
"""What an issuance calls to change the disk."""


def test_the_calls_of_an_issuance_are_all_of_a_kind_that_is_struck(bench: Bench) -> None:
    found = [point for work in ISSUANCES for point in bench.points(work)]
    assert {point.call for point in found} == KINDS
    assert len(found) >= 140, "three faults each are more than 400 cases"


@pytest.mark.parametrize("work", ISSUANCES, ids=lambda work: work.name)
def test_killed_at_any_call_nothing_acknowledged_is_lost_and_a_rerun_ends_it(work: Work, bench: Bench) -> None:
    assert all_broken(bench, work, [(point, KILL) for point in bench.points(work)]) == {}
