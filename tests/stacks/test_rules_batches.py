"""Which fleets may store every batch by itself, and which batches may wait how long."""

import pytest

from protocol.batch_window import BatchWindow
from stacks.environment import BatchPath, Cluster, Fleet
from stacks.rules.batches import (
    MOST_DEVICES_BY_LAMBDA,
    large_fleets_gather_their_batches,
    windows_leave_room_for_an_outage,
)
from tests.stacks.values import cluster, model


def cluster_by(path: BatchPath) -> Cluster:
    return Cluster(**{**vars(cluster()), "batches": path})


def fleet(devices: int) -> Fleet:
    return Fleet.model_validate({"clusters": {"eu1": {"devices": devices}}})


@pytest.mark.parametrize(
    ("path", "devices", "fits"),
    [
        (BatchPath.LAMBDA, MOST_DEVICES_BY_LAMBDA, True),
        (BatchPath.LAMBDA, MOST_DEVICES_BY_LAMBDA + 1, False),
        (BatchPath.KINESIS, 1, True),
        (BatchPath.KINESIS, 500_000, True),
    ],
)
def test_a_file_a_batch_is_for_small_fleets(path: BatchPath, devices: int, fits: bool) -> None:
    breaches = list(large_fleets_gather_their_batches({"eu1": cluster_by(path)}, fleet(devices)))
    assert [breach.path for breach in breaches] == ([] if fits else [("clusters", "eu1", "batches")])


def test_who_says_nothing_stores_every_batch_by_itself() -> None:
    assert cluster().batches is BatchPath.LAMBDA


@pytest.mark.parametrize(
    ("seconds", "recovery_minutes", "fits"), [(39_793, 60, True), (39_794, 60, False), (39_794, 59, True)]
)
def test_what_waits_for_a_batch_leaves_room_for_an_outage(seconds: int, recovery_minutes: int, *, fits: bool) -> None:
    asked = model().model_copy(update={"batch_window": BatchWindow(stalest_seconds=seconds)})
    said = Fleet.model_validate({"recovery_minutes": recovery_minutes, "clusters": {"eu1": {"devices": 1}}})
    assert len(list(windows_leave_room_for_an_outage({"fl100": asked}, said))) == (0 if fits else 1)


def test_a_load_of_no_cluster_is_another_rules_business() -> None:
    assert not list(large_fleets_gather_their_batches({}, fleet(500_000)))
