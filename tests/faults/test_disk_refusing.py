"""The disk refuses at every call of an issuance that changes it: it is full, or it fails."""

import pytest

from tests.faults.bench import Bench
from tests.faults.cases import all_broken
from tests.faults.works import ISSUANCES, Work

pytestmark = pytest.mark.judge


@pytest.mark.parametrize("fault", ["ENOSPC", "EIO"])
@pytest.mark.parametrize("work", ISSUANCES, ids=lambda work: work.name)
def test_refused_at_any_call_it_fails_in_words_and_a_rerun_ends_it(work: Work, fault: str, bench: Bench) -> None:
    assert all_broken(bench, work, [(point, fault) for point in bench.points(work)]) == {}
