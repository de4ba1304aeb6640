"""A fleet that its quotas cannot carry is refused, and one beside it is not."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.bundle import Bundle
from protocol.traffic import even_share, reconnect_window
from stacks.environment import Fleet
from stacks.load import available_stacks, load_environment
from stacks.rules import scatter
from tests.stacks.values import cluster, clusters


def fleet(devices: int = 100_000, recovery_minutes: int = 60, unplaced: int = 100, **quotas: int) -> Fleet:
    loads: dict[str, Any] = {"eu1": {"devices": devices, **quotas}}
    said = {"recovery_minutes": recovery_minutes, "unplaced_percent": unplaced, "clusters": loads}
    return Fleet.model_validate(said)


def test_a_cluster_without_a_load_and_a_load_without_a_cluster_are_refused() -> None:
    assert not list(scatter.every_cluster_has_a_load(fleet(), {"eu1": cluster()}))
    missing = list(scatter.every_cluster_has_a_load(fleet(), clusters()))
    assert [breach.path for breach in missing] == [("fleet", "clusters")] * 2
    (unknown,) = scatter.every_cluster_has_a_load(fleet(), {})
    assert unknown.path == ("fleet", "clusters", "eu1")


def test_one_device_more_than_the_account_has_connections_is_refused() -> None:
    assert not list(scatter.fleets_fit_their_connections(fleet(500_000)))
    (breach,) = scatter.fleets_fit_their_connections(fleet(500_001))
    assert breach.path == ("fleet", "clusters", "eu1", "devices")
    assert not list(scatter.fleets_fit_their_connections(fleet(500_001, connections=500_001)))


@pytest.mark.parametrize(
    ("devices", "minutes", "quota", "fits"),
    [
        (24_000, 1, 500, True),
        (24_001, 1, 500, False),
        (500_000, 21, 500, True),
        (500_000, 20, 500, False),
        (500_000, 4, 3000, True),
        (500_000, 3, 3000, False),
    ],
)
def test_a_fleet_fits_up_to_the_minute(devices: int, minutes: int, quota: int, *, fits: bool) -> None:
    asked = fleet(devices, minutes, connects_per_second=quota)
    assert [breach.path for breach in scatter.fleets_come_back_in_time(asked)] == (
        [] if fits else [("fleet", "clusters", "eu1", "connects_per_second")]
    )


@pytest.mark.parametrize(("devices", "unplaced", "fits"), [(25_144, 25, True), (25_145, 25, False), (25_145, 0, True)])
def test_a_fleet_whose_devices_have_places_fits_closer(devices: int, unplaced: int, *, fits: bool) -> None:
    breaches = list(scatter.fleets_come_back_in_time(fleet(devices, 1, unplaced)))
    assert len(breaches) == (0 if fits else 1)


def test_a_fleet_that_says_nothing_is_taken_to_have_some_devices_without_a_place() -> None:
    said = Fleet.model_validate({"clusters": {"eu1": {"devices": 100_000}}})
    assert said.unplaced_percent == 25
    assert said.reconnect_window == reconnect_window(100_000, 500, even=even_share())
    assert fleet().reconnect_window == reconnect_window(100_000, 500), "as chance needs it where none has a place"


def test_a_network_in_which_no_device_stays_connected_is_refused() -> None:
    networks = {
        "Nordtel": {"idle_timeout_seconds": 240},
        "Patient": {"idle_timeout_seconds": 7200, "shortest_interval_seconds": 300},
        "Deaf": {"idle_timeout_seconds": 300, "shortest_interval_seconds": 300},
    }
    asked = Fleet.model_validate({"clusters": {"eu1": {"devices": 1}}, "operators": networks})
    (breach,) = scatter.operators_let_devices_stay_connected(asked)
    assert breach.path == ("fleet", "operators", "Deaf")
    assert breach.way_out == "lengthen that timeout, or take another operator"
    sound = Fleet.model_validate({"clusters": {"eu1": {"devices": 1}}, "operators": dict(list(networks.items())[:2])})
    assert sound.keep_alives == {"Nordtel": timedelta(seconds=192), "Patient": timedelta(seconds=300)}


@given(st.integers(1, 10**8), st.integers(1, 1440), st.integers(1, 10_000))
def test_the_quota_that_a_refusal_asks_for_is_the_smallest_that_fits(devices: int, minutes: int, quota: int) -> None:
    for unplaced in (25, 100):
        for breach in scatter.fleets_come_back_in_time(fleet(devices, minutes, unplaced, connects_per_second=quota)):
            enough = int(breach.way_out.split(" connects/s")[0].rsplit(" ", 1)[1].replace(",", ""))
            windows = [fleet(devices, minutes, unplaced, connects_per_second=each) for each in (enough, enough - 1)]
            fits, does_not = (each.reconnect_window for each in windows)
            assert fits <= timedelta(minutes=minutes) < does_not


def test_devices_are_told_the_widest_window_of_all_clusters() -> None:
    loads = {"eu1": {"devices": 100_000}, "us1": {"devices": 400_000, "connects_per_second": 3000}}
    told = Fleet.model_validate({"unplaced_percent": 100, "clusters": loads})
    assert told.reconnect_window == timedelta(seconds=250)
    some = Fleet.model_validate({"clusters": loads}).reconnect_window
    assert some == reconnect_window(100_000, 500, even=even_share(of_all=0.2)), "which fifth of all it has is chance"
    assert some < timedelta(seconds=250)


@pytest.mark.parametrize("stack", available_stacks())
def test_every_committed_stack_tells_its_devices_a_window_that_a_bundle_takes(stack: str) -> None:
    window = load_environment(stack, today=None).fleet.reconnect_window
    document = Bundle.model_json_schema()["properties"]["reconnect_window_seconds"]
    assert document["minimum"] <= window.total_seconds() <= document["maximum"]
