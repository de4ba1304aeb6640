"""Two faults one after the other, fifty times, drawn with fixed seeds: a number is enough to see one again."""

from random import Random

import pytest

from tests.faults.bench import Bench, Point
from tests.faults.cases import DEVICE, KILL
from tests.faults.judge import broken_rules, left_behind, unconverged
from tests.faults.warm import strike

pytestmark = pytest.mark.judge

FAULTS = (KILL, "ENOSPC", "EIO")


@pytest.mark.parametrize("seed", range(50))
def test_two_faults_in_a_row_lose_nothing_and_a_rerun_ends_it(seed: int, bench: Bench, points: list[Point]) -> None:
    """The second strikes the rerun, where the first has left it; its point may be beyond what is left to do."""
    random = Random(seed)  # noqa: S311  # repeatable
    factory = bench.factory()
    order = bench.order(factory, is_key_generated=True)
    ran = []
    for _ in range(2):
        point = random.choice(points)
        ran.append(bench.run(factory, order, strace=strike(point.call, point.number, random.choice(FAULTS))))
    assert broken_rules(factory, ran, device=DEVICE) == []
    assert unconverged(factory, order, device=DEVICE) == []
    assert left_behind(factory) == [], "no copy of a key is left"
