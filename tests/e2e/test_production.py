"""Production in the embedded cloud: three regions, keys in KMS, and devices that move by DNS alone."""

import json

import pytest

from local.lake import read_lake, sent_measurements
from stacks.environment import GATEWAY_AUTHORITY
from stacks.outputs import read_outputs
from tests.e2e.missing_hop import missing_hop
from tests.e2e.world import World

pytestmark = pytest.mark.cloud

STATION = "tallinn-1"
"""Not certified yet: the ceremony makes the authorities, and a station asks for its own certificate later."""


def deliver(production: World, device: str) -> tuple[str, int]:
    """The cluster and epoch under which two batches of the device arrived, whole, gathered in a stream."""
    record = production.deployment.record
    cluster = production.route(device).partition(".")[0]
    with missing_hop(production, cluster) as hop:
        told = production.run(
            *("device", "run", "--bundle", str(production.home / "devices" / device), "--dns", record.dns),
            *("--proxy", record.proxy, "--batches", "2", "--rows", "3", "--sample-every", "0.01"),
            *("--attempts", "8", "--json"),
        )
        hop.carry(2)
    events = [json.loads(line) for line in told.splitlines()]
    assert str(events[-1]["server_name"]).partition(".")[0] == cluster
    epoch, bucket = int(events[-1]["epoch"]), production.deployment.outputs.clusters[cluster].lake_bucket
    s3 = production.client("s3", cluster)
    sent = sent_measurements(events)
    production.until(lambda: read_lake(s3, bucket, device=device, epoch=epoch).measurements == sent)
    return cluster, epoch


def test_production_deploys_in_all_its_regions_and_its_outputs_are_what_the_tools_read(production: World) -> None:
    outputs = read_outputs(production.home / "outputs.json")
    assert outputs == production.deployment.outputs
    assert len({cluster.region for cluster in outputs.clusters.values()}) == 3
    assert set(production.deployment.record.cells) >= {cluster.region for cluster in outputs.clusters.values()}
    for name, authority in outputs.authorities.items():
        assert authority.key == ("pkcs11" if name == STATION else "kms")
        known = set() if name in (GATEWAY_AUTHORITY, STATION) else outputs.clusters.keys()
        assert authority.ca_certificate_ids.keys() == known, "every cluster knows who signs devices, and nobody else"


def test_what_of_the_streams_way_does_not_run_here_is_said_and_not_played(production: World) -> None:
    gaps = {component.component: component.gaps for component in production.deployment.components}
    for cluster in production.deployment.outputs.clusters:
        assert "the rule's action kinesis is stored, never run" in gaps[f"{cluster}-ingestion"]
        assert any("batches do not gather" in gap for gap in gaps[f"{cluster}-telemetry"])


def test_a_device_reaches_another_cell_by_dns_alone_and_its_data_follows(production: World) -> None:
    production.make_device("traveller", "line-eu")
    first, _ = deliver(production, "traveller")
    target = next(name for name in production.deployment.outputs.clusters if name != first)
    before = (production.home / "devices" / "traveller" / "bundle.json").read_bytes()
    production.move("traveller", target)
    second, epoch = deliver(production, "traveller")
    assert second == target
    assert (production.home / "devices" / "traveller" / "bundle.json").read_bytes() == before, "nothing else changed"
    old = production.deployment.outputs.clusters[first].lake_bucket
    arrived = read_lake(production.client("s3", first), old, device="traveller", epoch=epoch)
    assert arrived.measurements == (), "nothing of it went to the old cluster"
