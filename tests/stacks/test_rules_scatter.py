"""A fleet that its quotas cannot carry is refused, and one beside it is not."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.bundle import Bundle
from protocol.traffic import reconnect_window
from stacks.environment import Fleet
from stacks.load import available_stacks, load_environment
from stacks.rules import scatter
from tests.stacks.values import cluster, clusters


def fleet(devices: int = 100_000, recovery_minutes: int = 60, **quotas: int) -> Fleet:
    loads: dict[str, Any] = {"eu1": {"devices": devices, **quotas}}
    return Fleet.model_validate({"recovery_minutes": recovery_minutes, "clusters": loads})


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
    for breach in scatter.fleets_come_back_in_time(fleet(devices, minutes, connects_per_second=quota)):
        enough = int(breach.way_out.split(" connects/s")[0].rsplit(" ", 1)[1].replace(",", ""))
        assert reconnect_window(devices, enough) <= timedelta(minutes=minutes) < reconnect_window(devices, enough - 1)


def test_devices_are_told_the_widest_window_of_all_clusters() -> None:
    loads = {"eu1": {"devices": 100_000}, "us1": {"devices": 400_000, "connects_per_second": 3000}}
    assert Fleet.model_validate({"clusters": loads}).reconnect_window == timedelta(seconds=250)


@pytest.mark.parametrize("stack", available_stacks())
def test_every_committed_stack_tells_its_devices_a_window_that_a_bundle_takes(stack: str) -> None:
    window = load_environment(stack, today=None).fleet.reconnect_window
    document = Bundle.model_json_schema()["properties"]["reconnect_window_seconds"]
    assert document["minimum"] <= window.total_seconds() <= document["maximum"]
