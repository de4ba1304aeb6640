import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import traffic

NAT_TIMEOUT = timedelta(seconds=350)
WINDOW = timedelta(seconds=1000)
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
    delay = traffic.retry_delay(attempt, lambda: number, was_ever_admitted=False, window=WINDOW)
    assert timedelta(seconds=1) <= delay <= timedelta(seconds=48)


@given(st.integers(0, 100), uniform)
def test_quick_tries_are_for_new_identities_only_and_end(attempt: int, number: float) -> None:
    quick_no_more = attempt + traffic.ADMISSION_TRIES
    late = traffic.retry_delay(quick_no_more, lambda: number, was_ever_admitted=False, window=WINDOW)
    assert late == traffic.backoff_delay(attempt, lambda: number)
    known = traffic.retry_delay(attempt, lambda: number, was_ever_admitted=True, window=WINDOW)
    assert known == traffic.reconnect_delay(attempt, lambda: number, WINDOW)


@given(st.integers(1, 1000), uniform)
def test_a_known_device_keeps_its_place_in_the_window(attempt: int, number: float) -> None:
    assert timedelta(0) <= traffic.reconnect_delay(0, lambda: number, WINDOW) <= WINDOW
    assert traffic.reconnect_delay(attempt, lambda: number, WINDOW) == WINDOW, "a shorter wait would crowd the others"


@given(st.integers(1, 1000), uniform)
def test_who_loses_a_short_connection_is_scattered_anew_for_all_may_have_lost_it_at_one_moment(
    attempt: int, number: float
) -> None:
    lost = traffic.reconnect_delay(attempt, lambda: number, WINDOW, was_connected=True)
    assert lost == WINDOW * (number + 0.5), "a window on average: a cluster that drops everyone again is not pressed"
    assert traffic.reconnect_delay(attempt, crash, WINDOW, was_connected=True, place=number) == lost
    assert traffic.reconnect_delay(0, lambda: number, WINDOW, was_connected=True) == WINDOW * number
    known = traffic.retry_delay(attempt, lambda: number, was_ever_admitted=True, window=WINDOW, was_connected=True)
    assert known == lost
    turn = traffic.reconnect_delay(0, crash, WINDOW, place=number, now=EPOCH)
    again = traffic.reconnect_delay(attempt, crash, WINDOW, place=number, now=EPOCH, was_connected=True)
    assert again == turn < WINDOW, "by its clock it has a turn within the window, as after any loss"


@pytest.mark.parametrize(
    ("devices", "connects_per_second", "seconds"),
    [
        (100_000, 500, 250),
        (500_000, 500, 1250),
        (1_000_000, 500, 2500),
        (1_000_000, 3_000, 366),
        (12_000, 500, 30),
        (12_001, 500, 31),
        (1, 500, 30),
        (1, 1, 30),
    ],
)
def test_the_window_is_that_of_the_fleet_and_the_quota(devices: int, connects_per_second: int, seconds: int) -> None:
    assert traffic.reconnect_window(devices, connects_per_second) == timedelta(seconds=seconds)


@given(st.integers(1, 10**8), st.integers(1, 10**5), uniform)
def test_random_peaks_of_the_window_stay_below_the_quota(devices: int, connects_per_second: int, even: float) -> None:
    rate = devices / traffic.reconnect_window(devices, connects_per_second, even=even).total_seconds()
    assert rate + traffic.PEAK_DEVIATIONS * math.sqrt(rate * (1 - even)) <= connects_per_second * (1 + 1e-9)


@given(st.integers(1, 10**8), st.integers(1, 10**5), uniform)
def test_more_devices_never_narrow_the_window_and_more_connects_never_widen_it(
    devices: int, rate: int, even: float
) -> None:
    window = traffic.reconnect_window(devices, rate, even=even)
    assert traffic.reconnect_window(devices + 1, rate, even=even) >= window
    assert window >= traffic.reconnect_window(devices, rate + 1, even=even)
    assert window <= traffic.reconnect_window(devices, rate), "places never cost anything"


@pytest.mark.parametrize(("connects_per_second", "over_the_ideal"), [(500, 1.1935), (1000, 1.134), (3000, 1.077)])
def test_a_fleet_with_places_returns_within_six_fifths_of_the_ideal(
    connects_per_second: int, over_the_ideal: float
) -> None:
    window = traffic.reconnect_window(1_000_000, connects_per_second, even=traffic.even_share())
    ideal = timedelta(seconds=1_000_000 / connects_per_second)
    assert window / ideal == pytest.approx(over_the_ideal, abs=0.001)


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
moments = st.datetimes(datetime(2026, 1, 1), datetime(2046, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone
windows = st.integers(30, 86_400).map(lambda seconds: timedelta(seconds=seconds))


def phase(moment: datetime, window: timedelta) -> timedelta:
    """Where in the window a moment lies."""
    return (moment - EPOCH) % window


@given(uniform, windows, moments, moments)
def test_a_device_with_a_clock_dials_at_its_place_whenever_it_lost_its_cluster(
    place: float, window: timedelta, now: datetime, later: datetime
) -> None:
    turns = []
    for noticed in (now, later):
        wait = traffic.reconnect_delay(0, crash, window, place=place, now=noticed)
        assert timedelta(0) <= wait < window
        turns.append(phase(noticed + wait, window))
    assert turns[0] == turns[1] == window * place % window


@given(uniform, windows, moments, st.integers(1, 100), st.integers(-200, 30_000))
def test_each_further_turn_is_a_window_later_however_long_the_failure_took_and_if_a_timer_fires_early(
    place: float, window: timedelta, now: datetime, attempt: int, milliseconds: int
) -> None:
    turn = now + traffic.reconnect_delay(0, crash, window, place=place, now=now)
    failed = turn + timedelta(milliseconds=milliseconds)
    again = failed + traffic.reconnect_delay(attempt, crash, window, place=place, now=failed)
    late = timedelta(milliseconds=milliseconds) >= window / 2
    assert again - turn == (2 if late else 1) * window


@given(uniform, st.integers(1, 100))
def test_without_a_clock_a_place_counts_from_the_loss_and_then_as_before(place: float, attempt: int) -> None:
    assert traffic.reconnect_delay(0, crash, WINDOW, place=place) == WINDOW * place
    assert traffic.reconnect_delay(attempt, crash, WINDOW, place=place) == WINDOW
    known = traffic.retry_delay(0, crash, was_ever_admitted=True, window=WINDOW, place=place, now=EPOCH)
    assert known == traffic.reconnect_delay(0, crash, WINDOW, place=place, now=EPOCH)


def crash() -> float:
    raise AssertionError("a device that has a place asks no chance")


def test_a_device_that_was_told_no_window_is_safe_in_the_largest_fleet_of_one_account() -> None:
    assert traffic.reconnect_window(500_000, 500) == traffic.SAFE_RECONNECT_WINDOW


@given(uniform)
def test_a_device_looks_its_name_up_every_five_minutes_give_or_take_one(number: float) -> None:
    assert timedelta(minutes=4) <= traffic.route_watch_delay(lambda: number) <= timedelta(minutes=6)
    assert timedelta(seconds=4) <= traffic.route_watch_delay(lambda: number, every=timedelta(seconds=5))


@given(uniform)
def test_a_device_that_was_sent_away_is_back_soon_but_never_at_once(number: float) -> None:
    quick = traffic.dismissed_delay(lambda: number)
    assert timedelta(seconds=1) <= quick <= traffic.DISMISSED_RETURN, "AWS IoT takes 1 CONNECT a second and client id"
