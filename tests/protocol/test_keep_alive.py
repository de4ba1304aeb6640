"""A keep-alive exists only if every part of its path bears it."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.keep_alive import KeepAlive, KeepAliveError, Operator, fitting_keep_alive
from protocol.traffic import KEEP_ALIVE


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def operator(idle: float = 7200, shortest: float = 0) -> Operator:
    return Operator("Nordtel", seconds(idle), seconds(shortest))


def test_the_contracts_keep_alive_fits_the_strictest_idle_timeout_that_mobile_networks_have() -> None:
    kept = KeepAlive(operator(idle=300))
    assert kept.interval == KEEP_ALIVE == seconds(240)
    assert kept.seen_dead_after == seconds(360)


@pytest.mark.parametrize(
    ("interval", "path", "fits"),
    [
        (30, {}, True),
        (29, {}, False),
        (349, {}, True),
        (350, {}, False),
        (240, {"operator": operator(idle=241)}, True),
        (240, {"operator": operator(idle=240)}, False),
        (300, {"operator": operator(shortest=300)}, True),
        (299, {"operator": operator(shortest=300)}, False),
        (240, {"load_balancer_idle": seconds(240)}, False),
        (240, {"nat_idle": seconds(240)}, False),
        (240, {"server_patience": seconds(360)}, True),
        (240, {"server_patience": seconds(359)}, False),
        (1200, {"load_balancer_idle": seconds(6000), "nat_idle": seconds(6000)}, True),
        (1201, {"load_balancer_idle": seconds(6000), "nat_idle": seconds(6000)}, False),
    ],
)
def test_an_interval_fits_up_to_its_boundary(interval: float, path: dict[str, Any], fits: bool) -> None:
    asked = {"operator": operator(), "interval": seconds(interval), **path}
    if fits:
        assert KeepAlive(**asked).interval == seconds(interval)
    else:
        with pytest.raises(KeepAliveError, match="; "):
            KeepAlive(**asked)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ({"operator": operator(idle=200)}, "too long: operator Nordtel forgets .* after 200 s; choose less than that"),
        ({"operator": operator(shortest=300)}, "too short: operator Nordtel allows none below 300 s; .* less than 350"),
        ({"operator": operator(shortest=360)}, "no keep-alive below 360 s, and the .* forgets .*another operator"),
        ({"load_balancer_idle": seconds(100)}, "the load balancer forgets a silent connection after 100 s"),
        ({"server_patience": seconds(90)}, "its patience is 90 s; choose at most 60 s"),
        ({"operator": operator(idle=20)}, "forgets .* after 20 s, and AWS IoT Core takes .* below 30 s; lengthen that"),
        ({"interval": seconds(10)}, "none for AWS IoT Core; choose from 30 s to 1200 s"),
    ],
)
def test_a_refusal_says_who_cannot_bear_it_and_the_way_out(path: dict[str, Any], said: str) -> None:
    with pytest.raises(KeepAliveError, match=said):
        KeepAlive(**{"operator": operator(), **path})


@given(st.integers(1, 8000), st.integers(1, 8000), st.integers(0, 8000), st.integers(1, 8000))
def test_what_exists_is_below_every_timeout(interval: int, idle: int, shortest: int, patience: int) -> None:
    try:
        kept = KeepAlive(operator(idle, shortest), seconds(interval), server_patience=seconds(patience))
    except KeepAliveError:
        return
    assert kept.interval < min(kept.operator.idle_timeout, kept.load_balancer_idle, kept.nat_idle)
    assert kept.operator.shortest_interval <= kept.interval
    assert kept.seen_dead_after <= kept.server_patience


@pytest.mark.parametrize(
    ("idle", "shortest", "interval"),
    [
        (7200, 0, 240),
        (300, 0, 240),
        (299, 0, 239),
        (240, 0, 192),
        (60, 0, 48),
        (7200, 300, 300),
        (320, 300, 300),
        (38, 0, 30),
        (36, 0, 30),
        (31, 0, 30),
    ],
)
def test_each_network_gets_the_interval_that_holds_in_it(idle: float, shortest: float, interval: float) -> None:
    assert fitting_keep_alive(operator(idle, shortest)).interval == seconds(interval)


@pytest.mark.parametrize(("idle", "shortest"), [(300, 300), (7200, 350), (30, 0)])
def test_a_network_in_which_nothing_holds_is_refused(idle: float, shortest: float) -> None:
    with pytest.raises(KeepAliveError, match="; "):
        fitting_keep_alive(operator(idle, shortest))


def test_a_keep_alive_cannot_be_changed_afterwards() -> None:
    with pytest.raises(AttributeError):
        KeepAlive(operator()).interval = seconds(1)  # type: ignore[misc]  # the very mistake under test
