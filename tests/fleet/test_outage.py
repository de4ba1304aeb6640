"""An outage computed: what the facts measured is found again, and nobody is lost or counted twice."""

import math
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.outage.broker import BROKERS
from fleet.outage.course import Course
from fleet.outage.policy import Policy, policies
from fleet.outage.simulation import Outage, simulate
from protocol import traffic

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
        ("contract", 454, 0.05),
    ],
)
def test_the_peaks_of_the_facts_are_found_again(policy: str, peak: int, tolerance: float) -> None:
    assert course(BLINK, policy).peak == pytest.approx(peak, rel=tolerance)


@pytest.mark.parametrize("broker", BROKERS)
def test_the_contract_brings_everyone_back_in_five_quarters_of_the_ideal_whatever_the_broker(broker: str) -> None:
    told = course(BLINK, "contract", broker)
    assert told.peak <= 500, "within the quota"
    assert told.recovery == pytest.approx(1.25, rel=0.01)
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


@pytest.mark.parametrize("seed", range(3))
def test_a_million_devices_come_back_from_half_an_hour_below_the_quota(seed: int) -> None:
    told = course(MILLION, "contract", seed=seed)
    assert told.back == 1_000_000
    assert max(told.peak, told.peak_while_away) <= 500
    assert told.recovery == pytest.approx(1.25, rel=0.001), "the price of the margin at 500 connects/s"


@pytest.mark.parametrize("seed", range(3))
def test_a_million_devices_at_the_larger_quota_come_back_within_six_fifths_of_the_ideal(seed: int) -> None:
    told = course(replace(MILLION, connects_per_second=3000), "contract", seed=seed)
    assert told.back == 1_000_000
    assert max(told.peak, told.peak_while_away) <= 3000
    assert told.recovery is not None
    assert told.recovery <= 1.2


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
    told = course(outage, "contract", seed=seed)
    window = traffic.reconnect_window(outage.devices, outage.connects_per_second).total_seconds()
    if told.peak <= outage.connects_per_second:
        back = told.seconds_until_back(1)
        assert back is not None
        assert back <= window + 1


@pytest.mark.parametrize("seconds", [0, 60, 100, 249, 251, 600, 1800, 7200])
def test_the_contract_keeps_below_the_quota_however_long_the_outage(seconds: int) -> None:
    told = course(replace(BLINK, seconds=seconds), "contract")
    assert max(told.peak, told.peak_while_away) <= 500
    assert told.recovery is not None
    assert told.recovery <= 1.26


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


def _one(policy: Policy, attempt: int, number: float) -> float:
    attempts, before = np.array([attempt], dtype=np.int64), np.zeros(1)
    return float(policy.waits(attempts, before, np.array([number]))[0])


@given(st.integers(0, 100), st.floats(0, 1, exclude_max=True))
def test_the_model_waits_as_the_devices_do(attempt: int, number: float) -> None:
    """`device.agent` asks `protocol.traffic`; the model must not drift from it."""
    window = traffic.reconnect_window(100_000, 500)
    known = policies(100_000, 500)

    def random() -> float:
        return number

    same = {
        "contract": traffic.reconnect_delay(attempt, random, window),
        "backoff": traffic.backoff_delay(attempt, random),
        "publish-schedule": traffic.publish_delay(random),
    }
    for name, delay in same.items():
        assert timedelta(seconds=_one(known[name], attempt, number)) == pytest.approx(
            delay, abs=timedelta(microseconds=1)
        )


def test_a_fleet_that_is_not_back_says_so() -> None:
    told = course(BLINK, "fixed", "queues")
    assert told.back < told.devices
    assert told.seconds_until_back(1) is None
    assert math.isfinite(told.seconds_until_back(0.01) or math.nan)
