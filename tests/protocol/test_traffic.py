from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from protocol import traffic

NAT_TIMEOUT = timedelta(seconds=350)
uniform = st.floats(min_value=0, max_value=1, exclude_max=True)


def test_the_keep_alive_is_below_the_idle_timeout_of_load_balancers_and_nat() -> None:
    assert traffic.KEEP_ALIVE < NAT_TIMEOUT
    assert timedelta(seconds=30) <= traffic.KEEP_ALIVE <= timedelta(seconds=1200), "what AWS IoT Core accepts"


@given(uniform)
def test_batches_leave_45_to_75_seconds_apart(number: float) -> None:
    assert timedelta(seconds=45) <= traffic.publish_delay(lambda: number) <= timedelta(seconds=75)


@given(st.integers(0, 10_000), uniform)
def test_a_backoff_never_passes_the_cap(attempt: int, number: float) -> None:
    assert timedelta(0) <= traffic.backoff_delay(attempt, lambda: number) <= traffic.BACKOFF_CAP


def test_the_bound_of_a_backoff_doubles_until_the_cap() -> None:
    def almost_one() -> float:
        return 1 - 1e-9

    seconds = [round(traffic.backoff_delay(attempt, almost_one).total_seconds()) for attempt in range(7)]
    assert seconds == [30, 60, 120, 240, 480, 600, 600]


@given(st.integers(0, traffic.ADMISSION_TRIES - 1), uniform)
def test_a_new_identity_comes_back_within_a_minute_but_never_at_once(attempt: int, number: float) -> None:
    delay = traffic.retry_delay(attempt, lambda: number, was_ever_admitted=False)
    assert timedelta(seconds=1) <= delay <= timedelta(seconds=48)


@given(st.integers(0, 100), uniform)
def test_quick_tries_are_for_new_identities_only_and_end(attempt: int, number: float) -> None:
    late = traffic.retry_delay(attempt + traffic.ADMISSION_TRIES, lambda: number, was_ever_admitted=False)
    assert late == traffic.backoff_delay(attempt, lambda: number)
    assert traffic.retry_delay(attempt, lambda: number, was_ever_admitted=True) == late
