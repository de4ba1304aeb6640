"""An outage computed: what the facts measured is found again, and nobody is lost or counted twice."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.outage.broker import BROKERS
from fleet.outage.course import Course
from fleet.outage.places import LEDGER, places
from fleet.outage.policy import Floats, Policy, Tries, policies
from fleet.outage.simulation import Outage, simulate
from protocol import traffic
from protocol.reconnect_place import reconnect_place

BLINK = Outage(devices=100_000, connects_per_second=500, seconds=0)
"""The cluster drops every connection and takes new ones at once: the case that shared/facts.md measured."""
MILLION = Outage(devices=1_000_000, connects_per_second=500, seconds=1800)


def course(outage: Outage, policy: str, broker: str = "refuses", seed: int = 1) -> Course:
    chosen = policies(outage.devices, outage.connects_per_second)[policy]
    return simulate(outage, chosen, BROKERS[broker](outage.connects_per_second), np.random.default_rng(seed))


@pytest.mark.parametrize(
    ("policy", "peak", "tolerance"),
    [
        ("fixed", 100_000, 0),
        ("no-jitter", 100_000, 0),
        ("full-jitter", 118_000, 0.01),
        ("decorrelated", 56_000, 0.01),
        ("publish-schedule", 3_420, 0.02),
        ("wide-then-backoff", 454, 0.05),
        ("by-chance", 454, 0.05),
    ],
)
def test_the_peaks_of_the_facts_are_found_again(policy: str, peak: int, tolerance: float) -> None:
    assert course(BLINK, policy).peak == pytest.approx(peak, rel=tolerance)


@pytest.mark.parametrize("broker", BROKERS)
@pytest.mark.parametrize(("policy", "recovery"), [("contract", 1.19), ("by-chance", 1.25)])
def test_the_window_brings_everyone_back_below_the_quota_whatever_the_broker(
    policy: str, recovery: float, broker: str
) -> None:
    told = course(BLINK, policy, broker)
    assert told.peak <= 500, "within the quota"
    assert told.recovery == pytest.approx(recovery, abs=0.01)
    assert told.attempts_a_device == 1


def test_a_broker_that_queues_collapses_under_the_publish_schedule() -> None:
    told = course(BLINK, "publish-schedule", "queues")
    assert told.watched_seconds == 1800
    assert told.back / told.devices == pytest.approx(0.06, abs=0.005), "6 % are back after half an hour"
    assert told.recovery is None


@pytest.mark.parametrize("policy", ["fixed", "no-jitter", "equal-jitter", "full-jitter", "decorrelated", "backoff"])
def test_a_broker_that_queues_never_gets_everyone_back_by_backoff_alone(policy: str) -> None:
    assert course(BLINK, policy, "queues").recovery is None


def test_the_publish_schedule_alone_is_safe_up_to_thirty_times_the_quota() -> None:
    small = replace(BLINK, devices=12_500)
    assert course(small, "publish-schedule").peak <= 500
    assert course(replace(BLINK, devices=30_000), "publish-schedule").peak > 1000, "twice the quota"


@pytest.mark.parametrize(
    ("quota", "noticed_over_seconds", "seed"),
    [*((500, noticed, seed) for noticed in (0, 360) for seed in range(3)), (1000, 0, 0), (3000, 360, 0)],
)
def test_a_million_devices_come_back_below_the_quota_within_six_fifths_of_the_ideal(
    quota: int, noticed_over_seconds: int, seed: int
) -> None:
    """A quarter of them without a place. 360 s: a silent network, which devices notice by their keep-alive of 240 s."""
    outage = replace(MILLION, connects_per_second=quota, noticed_over_seconds=noticed_over_seconds)
    told = course(outage, "contract", seed=seed)
    assert told.back == 1_000_000
    assert max(told.peak, told.peak_while_away) <= quota
    assert told.recovery is not None
    assert told.recovery <= 1.2


def test_a_million_devices_without_places_pay_a_quarter_more_than_the_ideal_for_the_same_quota() -> None:
    told = course(MILLION, "by-chance")
    assert told.back == 1_000_000
    assert max(told.peak, told.peak_while_away) <= 500
    assert told.recovery == pytest.approx(1.25, rel=0.001), "the price of the margin at 500 connects/s"


@pytest.mark.parametrize(("unplaced", "recovery"), [(0.0, 1.17), (0.5, 1.21)])
def test_the_fewer_devices_have_a_place_the_longer_the_return(unplaced: float, recovery: float) -> None:
    chosen = policies(MILLION.devices, 500, unplaced)["contract"]
    told = simulate(MILLION, chosen, BROKERS["refuses"](500), np.random.default_rng(1))
    assert told.peak <= 500
    assert told.recovery == pytest.approx(recovery, abs=0.01)


def variance(seconds: Floats, window: int) -> float:
    """Of the devices in each second of a window, over what chance gives."""
    counted = np.bincount(np.mod(seconds, window).astype(np.int64), minlength=window)
    return float(counted.var() / counted.mean())


def test_places_that_count_from_when_a_device_noticed_would_crowd_as_chance_does() -> None:
    """Why a device keeps its place by the clock where it has one."""
    window, devices = 2387, np.arange(1_000_000)
    noticed = 360 * np.random.default_rng(1).random(len(devices))
    assert variance(window * places(devices), window) < 0.01
    late = window * places(devices) + noticed
    assert variance(late, window) == pytest.approx(1, abs=0.1), "no better, and no worse"


@pytest.mark.parametrize("share", [0.9, 0.5, 0.2])
def test_a_cluster_that_chance_gave_a_share_of_all_devices_has_as_much_less_of_their_evenness(share: float) -> None:
    drawn = np.random.default_rng(1).random(1_000_000)
    devices, window = np.flatnonzero(drawn < share), round(2387 * share)
    assert variance(window * places(devices), window) == pytest.approx(1 - share, abs=0.1)


@pytest.mark.parametrize(("smear", "left"), [(0.25, 1 / 12), (1.0, 1 / 3), (2.0, 7 / 12), (10.0, 0.903)])
def test_what_clocks_and_handshakes_leave_of_the_evenness(smear: float, left: float) -> None:
    late = smear * np.random.default_rng(1).random(1_000_000)
    assert variance(2387 * places(np.arange(1_000_000)) + late, 2387) == pytest.approx(left, abs=0.05)


def test_backoff_after_the_wide_window_breaks_the_quota_when_the_outage_lasts() -> None:
    """Why the contract keeps a device's place in the window instead of backing off by another schedule."""
    assert course(MILLION, "wide-then-backoff").peak > 8 * 500
    assert course(MILLION, "wide-then-backoff", "queues").back < 0.01 * MILLION.devices


small_fleets = st.builds(
    Outage, devices=st.integers(1, 3000), connects_per_second=st.integers(1, 200), seconds=st.integers(0, 900)
)


@settings(max_examples=60, deadline=None)
@given(small_fleets, st.sampled_from(sorted(policies(1, 1))), st.sampled_from(sorted(BROKERS)), st.integers(0, 99))
def test_every_connect_is_let_in_once_or_fails_and_nobody_is_lost(
    outage: Outage, policy: str, broker: str, seed: int
) -> None:
    told = course(outage, policy, broker, seed)
    assert told.accepted.sum() == told.back <= outage.devices, "let in once each"
    assert told.accepted[: outage.seconds].sum() == 0, "nobody is let in while the cluster is away"
    assert told.attempts.sum() == told.dialled.sum(), "each connect is some device's"
    assert (told.dialled[np.isfinite(told.back_at)] >= 1).all(), "nobody is back without dialling"
    if broker == "refuses":
        assert told.accepted.max() <= outage.connects_per_second


@settings(max_examples=40, deadline=None)
@given(small_fleets.filter(lambda outage: outage.connects_per_second >= 20), st.integers(0, 99))
def test_under_the_contract_everyone_is_back_within_one_window_of_a_cluster_that_keeps_up(
    outage: Outage, seed: int
) -> None:
    for policy, even in (("contract", traffic.even_share()), ("by-chance", 0.0)):
        told = course(outage, policy, seed=seed)
        window = traffic.reconnect_window(outage.devices, outage.connects_per_second, even=even).total_seconds()
        if told.peak <= outage.connects_per_second:
            back = told.seconds_until_back(1)
            assert back is not None
            assert back <= window + 1


@pytest.mark.parametrize("seconds", [0, 60, 100, 249, 251, 600, 1800, 7200])
def test_the_contract_keeps_below_the_quota_however_long_the_outage(seconds: int) -> None:
    told = course(replace(BLINK, seconds=seconds), "contract")
    assert max(told.peak, told.peak_while_away) <= 500
    assert told.recovery is not None
    assert told.recovery <= 1.2


def test_a_longer_outage_asks_more_of_each_device_and_a_larger_quota_shortens_the_return() -> None:
    dialled = [course(replace(BLINK, seconds=seconds), "contract").attempts_a_device for seconds in (0, 300, 900)]
    assert dialled == sorted(dialled)
    back = [course(replace(BLINK, connects_per_second=rate), "contract").seconds_until_back(1) for rate in (500, 1000)]
    assert back[0] is not None
    assert back[1] is not None
    assert back[1] < back[0]


def test_the_same_seed_gives_the_same_course_and_another_seed_another() -> None:
    first, again, other = (course(BLINK, "decorrelated", seed=seed) for seed in (1, 1, 2))
    assert (first.attempts == again.attempts).all()
    assert (first.back_at == again.back_at).all()
    assert (first.attempts != other.attempts).any()


def _one(policy: Policy, attempt: int, number: float, *, device: int = 0, now: float = 0.0) -> float:
    asked = Tries(
        devices=np.array([device]),
        attempt=np.array([attempt], dtype=np.int64),
        previous=np.zeros(1),
        now=np.array([now]),
        uniform=np.array([number]),
    )
    return float(policy.waits(asked)[0])


@given(
    st.integers(0, 100),
    st.floats(0, 1, exclude_max=True),
    st.integers(0, 99_999),
    st.floats(0, 10**5, exclude_max=True),
)
def test_the_model_waits_as_the_devices_do(attempt: int, number: float, device: int, now: float) -> None:
    """`device.patience` asks `protocol.traffic`; the model must not drift from it."""
    window = traffic.reconnect_window(100_000, 500)
    known = policies(100_000, 500, unplaced=1.0) | {"placed": policies(100_000, 500, unplaced=0.0)["contract"]}
    narrower = traffic.reconnect_window(100_000, 500, even=traffic.even_share(unplaced=0.0))
    place, moment = reconnect_place(device, LEDGER), datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=now)

    def random() -> float:
        return number

    same = {
        "contract": traffic.reconnect_delay(attempt, random, window),
        "by-chance": traffic.reconnect_delay(attempt, random, window),
        "backoff": traffic.backoff_delay(attempt, random),
        "publish-schedule": traffic.publish_delay(random),
    }
    for name, delay in same.items():
        waited = timedelta(seconds=_one(known[name], attempt, number, device=device, now=now))
        assert waited == pytest.approx(delay, abs=timedelta(microseconds=1))
    turn = traffic.reconnect_delay(attempt, random, narrower, place=place, now=moment)
    late = traffic.PLACED_SMEAR * number
    modelled = timedelta(seconds=_one(known["placed"], attempt, number, device=device, now=now)) - late
    apart = abs(modelled - turn)
    assert min(apart, narrower - apart) < timedelta(milliseconds=1), "where the turn is now, both may mean the next"


def test_a_fleet_that_is_not_back_says_so() -> None:
    told = course(BLINK, "fixed", "queues")
    assert told.back < told.devices
    assert told.seconds_until_back(1) is None
    assert math.isfinite(told.seconds_until_back(0.01) or math.nan)
