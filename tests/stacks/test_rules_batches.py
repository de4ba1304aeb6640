"""Which fleets may store every batch by itself."""

import pytest

from stacks.environment import BatchPath, Cluster, Fleet
from stacks.rules.batches import MOST_DEVICES_BY_LAMBDA, large_fleets_gather_their_batches
from tests.stacks.values import cluster


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


def test_a_load_of_no_cluster_is_another_rules_business() -> None:
    assert not list(large_fleets_gather_their_batches({}, fleet(500_000)))
