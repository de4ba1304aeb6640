import itertools

from hypothesis import given
from hypothesis import strategies as st

from fleet.routing.turns import Turns


@given(st.floats(0.5, 100), st.lists(st.floats(0, 3), max_size=50))
def test_turns_never_come_faster_than_they_may_whatever_is_done_between_them(
    per_second: float, work: list[float]
) -> None:
    now = [1000.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    wait_turn = Turns(per_second=per_second, monotonic=lambda: now[0], sleep=sleep)
    taken = []
    for seconds in work:
        wait_turn()
        taken.append(now[0])
        now[0] += seconds
    gaps = [later - earlier for earlier, later in itertools.pairwise(taken)]
    assert all(gap >= 1 / per_second - 1e-6 for gap in gaps)
    assert all(gap <= max(1 / per_second, seconds) + 1e-6 for gap, seconds in zip(gaps, work, strict=False)), (
        "no idling"
    )
