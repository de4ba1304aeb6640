"""The disk refuses at every call of an issuance that changes it: it is full, or it fails."""

import pytest

from tests.faults.bench import Bench, Point
from tests.faults.cases import all_broken
from tests.faults.test_disk_kill import KINDS

pytestmark = pytest.mark.judge


@pytest.mark.parametrize("fault", ["ENOSPC", "EIO"])
@pytest.mark.parametrize("kind", KINDS)
def test_refused_at_any_call_it_fails_in_words_and_a_rerun_ends_it(
    kind: str, fault: str, bench: Bench, points: list[Point]
) -> None:
    assert all_broken(bench, [point for point in points if point.call == kind], fault) == {}
