"""A fleet of real agents on the embedded cloud, through everything: each row once in a lake, in order."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from device.simulator.scenario import EVERYTHING, FIRST, one_after_another
from device.simulator.simulate import Order, simulate
from protocol.device_id import parse_device_id
from protocol.hostnames import cluster_hostname, default_hostname
from protocol.traffic import reconnect_window
from tests.e2e.simulated_ground import DeskGround
from tests.e2e.world import World

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(900)]

DEVICES = 20
JUST_IN_TIME = 7
QUOTA = 20


@pytest.fixture
def ground(dev: World) -> Iterator[DeskGround]:
    yield (made := DeskGround(dev))
    record = {
        "Name": default_hostname(dev.domain),
        "Type": "CNAME",
        "TTL": 60,
        "ResourceRecords": [{"Value": cluster_hostname(FIRST, dev.domain)}],
    }
    dev.client("route53").change_resource_record_sets(
        HostedZoneId=made.world.deployment.outputs.zone_id,
        ChangeBatch={"Changes": [{"Action": "UPSERT", "ResourceRecordSet": record}]},
    )


def test_every_row_that_a_fleet_measured_is_in_a_lake_once_whatever_happened(
    dev: World, ground: DeskGround, tmp_path: Path
) -> None:
    """Seven of the devices nobody registered: they are admitted just in time, in both clusters."""
    window = reconnect_window(DEVICES, QUOTA)
    devices = [parse_device_id(f"simulated{number}") for number in range(DEVICES)]
    folders = ground.make(tmp_path / "devices", devices, window, just_in_time=JUST_IN_TIME)
    # How soon they are back is for the fleet on mosquitto to show. A second of the desk is a minute of theirs here, and
    # whom the second cluster has not seen yet is admitted there first.
    stories = [replace(each, expects=replace(each.expects, spreads_return=False)) for each in EVERYTHING.stories]
    order = Order(
        scenario=one_after_another("everything", *stories),
        connects_per_second=QUOTA,
        pace=60.0,
        sample_every=timedelta(seconds=15),
        batch_every=timedelta(seconds=100),
    )
    report, _ = simulate(order, lambda: ground, folders, lambda _look, _doing: None)
    assert [finding for finding in report.findings if not finding.holds] == []
    assert report.numbers["rows_measured"] > DEVICES * 100
    assert {device["rows_stored"] == device["rows_measured"] for device in report.devices} == {True}
