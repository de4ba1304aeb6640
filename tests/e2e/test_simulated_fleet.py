"""A fleet of real agents on the embedded cloud, through everything: each row once in a lake, in order.

`make fleet` takes 1,000 of them, slowly enough that their return can be judged, too.
"""

import json
import math
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from device.simulator.course import Look, OnLook
from device.simulator.scenario import CUT, EVERYTHING, FIRST, Scenario, one_after_another
from device.simulator.simulate import Order, simulate
from protocol.device_id import parse_device_id
from protocol.hostnames import cluster_hostname, default_hostname
from protocol.traffic import even_share, reconnect_window
from tests.e2e.simulated_ground import DeskGround
from tests.e2e.world import World

SMALL = 20
DEVICES = int(os.environ.get("FLEET", SMALL))
PACE = float(os.environ.get("PACE", "60"))
SHOWS_RETURN = PACE <= 5
"""A second of the desk is five of theirs then, and not a minute."""
JUST_IN_TIME = 0 if SHOWS_RETURN else 7
"""Whom the second cluster has not seen yet is admitted there first, and later than its place in the return."""
QUOTA = 20
SAMPLE_SECONDS = 15 if DEVICES <= SMALL else 120
"""So that the desk's functions keep up with them."""
TOLD_EVERY_SECONDS = 60

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(3600 if SHOWS_RETURN else 900)]


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
    """Some of the devices nobody registered: they are admitted just in time, in both clusters."""
    window = reconnect_window(DEVICES, QUOTA, even=even_share(unplaced=0))
    devices = [parse_device_id(f"simulated{number}") for number in range(DEVICES)]
    folders = ground.make(tmp_path / "devices", devices, window, just_in_time=JUST_IN_TIME)
    stories = [
        replace(each, expects=replace(each.expects, spreads_return=each.expects.spreads_return and is_judged(each)))
        for each in EVERYTHING.stories
    ]
    order = Order(
        scenario=one_after_another("everything", *stories),
        connects_per_second=QUOTA,
        pace=PACE,
        sample_every=timedelta(seconds=SAMPLE_SECONDS),
        batch_every=timedelta(seconds=400 if DEVICES > SMALL else 100),
        on_disk=True,
    )
    report, fleet = simulate(order, lambda: ground, folders, teller())
    sys.stdout.write(json.dumps({**report.to_json(), "devices": len(devices)}, indent=1))
    assert [finding for finding in report.findings if not finding.holds] == []
    assert report.numbers["rows_measured"] > DEVICES * 0.8 * fleet.course.passages[-1].ended / SAMPLE_SECONDS
    assert {device["rows_stored"] == device["rows_measured"] for device in report.devices} == {True}


def is_judged(story: Scenario) -> bool:
    """Whether the desk can show how the fleet comes back from a story.

    Not from a silence of everyone: hundreds of dials hung in it and go through at one moment, and the desk's names,
    which its cells serve, are late meanwhile (docs/simulator.md). The fleet on mosquitto shows that.
    """
    return SHOWS_RETURN and story.name != CUT.name


def teller() -> OnLook:
    """Tells how far it is, once in a while: for who waits."""
    told = [-math.inf]

    def tell(look: Look, doing: str) -> None:
        if look.at - told[0] >= TOLD_EVERY_SECONDS:
            told[0] = look.at
            sys.stdout.write(f"{look.at:,.0f} s: {look.connected:,} connected, {doing}\n")

    return tell
