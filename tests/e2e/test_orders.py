"""What a fleet's operators ask of a device reaches it: jobs and configuration, on AWS IoT's own topics."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from protocol.device_id import parse_device_id
from protocol.topics import CONFIGURATION_SHADOW
from tests.device.process import DeviceProcess
from tests.e2e.world import World

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(600)]

LINE = "line-a"


@contextmanager
def at_work(dev: World, device: str, folder: Path) -> Iterator[DeviceProcess]:
    process = DeviceProcess(dev.home / "devices" / device, dev.resolver, dev.proxy, folder / f"{device}.told")
    try:
        dev.until(lambda: bool(process.events("connected")))
        yield process
    finally:
        process.stop()


def order(dev: World, job: str, device: str, document: dict[str, Any]) -> None:
    iot = dev.client("iot", "eu1")
    thing = iot.describe_thing(thingName=device)["thingArn"]
    iot.create_job(jobId=job, targets=[thing], document=json.dumps(document))


def outcome(dev: World, job: str, device: str) -> tuple[str, str]:
    """Status and reason of a job's execution on a device."""
    execution = dev.client("iot", "eu1").describe_job_execution(jobId=job, thingName=device)["execution"]
    return execution["status"], execution.get("statusDetails", {}).get("detailsMap", {}).get("reason", "")


def ends(dev: World, job: str, device: str) -> tuple[str, str]:
    dev.until(lambda: outcome(dev, job, device)[0] not in {"QUEUED", "IN_PROGRESS"})
    return outcome(dev, job, device)


def test_orders_are_carried_out_one_after_the_other_and_a_restart_is_one_of_them(dev: World, tmp_path: Path) -> None:
    device = parse_device_id("worker1")
    dev.make_device(device, LINE)
    with at_work(dev, device, tmp_path) as process:
        order(dev, "reboot-1", device, {"operation": "reboot"})
        order(dev, "configure-1", device, {"operation": "configure", "configuration": {"sample_seconds": 0.5}})
        order(dev, "configure-2", device, {"operation": "configure", "configuration": {"sample_seconds": -1}})
        order(dev, "dance-1", device, {"operation": "dance"})
        order(dev, "move-1", device, {"operation": "move"})
        assert ends(dev, "reboot-1", device) == ("SUCCEEDED", "up again, start number 2")
        assert ends(dev, "configure-1", device) == ("SUCCEEDED", "works by it")
        status, reason = ends(dev, "configure-2", device)
        assert (status, reason.partition(":")[0]) == ("REJECTED", "sample_seconds"), "the place, and why"
        assert ends(dev, "dance-1", device) == (
            "REJECTED",
            "unknown operation 'dance'; this firmware knows configure, move, reboot",
        )
        assert ends(dev, "move-1", device)[0] == "SUCCEEDED"
        dev.until(lambda: len(process.events("connected")) == 3)
    assert [event["job"] for event in process.events("job_begun")].count("reboot-1") == 1
    assert [event["job"] for event in process.events("job_resumed")] == ["reboot-1"]
    assert len(process.events("summoned")) == 1


def test_an_order_that_was_taken_back_is_not_told_of_and_the_next_one_is_begun(dev: World, tmp_path: Path) -> None:
    """It is cancelled by force while the device is down in the middle of it."""
    device = parse_device_id("worker2")
    dev.make_device(device, LINE)
    with at_work(dev, device, tmp_path) as process:
        iot = dev.client("iot", "eu1")
        process.kill()
        order(dev, "reboot-2", device, {"operation": "reboot"})
        order(dev, "configure-3", device, {"operation": "configure", "configuration": {}})
        iot.cancel_job_execution(jobId="reboot-2", thingName=device, force=True)
    with at_work(dev, device, tmp_path):
        assert ends(dev, "configure-3", device) == ("SUCCEEDED", "works by it")
    assert outcome(dev, "reboot-2", device)[0] == "CANCELED"


def test_configuration_follows_the_shadow_and_what_is_wrong_is_refused_with_the_reason(
    dev: World, tmp_path: Path
) -> None:
    device = parse_device_id("worker3")
    dev.make_device(device, LINE)
    shadows = dev.client("iot-data", "eu1")

    def desire(**wish: Any) -> None:
        payload = json.dumps({"state": {"desired": wish}})
        shadows.update_thing_shadow(thingName=device, shadowName=CONFIGURATION_SHADOW, payload=payload)

    def state() -> dict[str, Any]:
        document = shadows.get_thing_shadow(thingName=device, shadowName=CONFIGURATION_SHADOW)["payload"].read()
        return dict(json.loads(document)["state"])

    rules = {"temperature": {"window_seconds": 60, "statistics": ["min", "max"]}, "battery": {"deadband": 0.05}}
    with at_work(dev, device, tmp_path) as process:
        desire(sample_seconds=0.2, channels=rules, window={"freshest_seconds": 2})
        dev.until(lambda: "delta" not in state())
        assert state()["reported"] == {
            "sample_seconds": 0.2,
            "channels": rules,
            "window": {"freshest_seconds": 2},
        }
        desire(sample_seconds=0)
        dev.until(lambda: "rejected" in state()["reported"])
        assert state()["reported"]["rejected"] == {"sample_seconds": "Input should be greater than or equal to 0.01"}
        assert state()["reported"]["sample_seconds"] == 0.2, "the old one is kept"
        assert state()["delta"] == {"sample_seconds": 0}, "and an operator sees that they differ"
    with at_work(dev, device, tmp_path) as process:
        dev.until(lambda: len(process.events("configuration_rejected")) == 2)
        desire(sample_seconds=0.3, channels=None)
        dev.until(lambda: state()["reported"].get("sample_seconds") == 0.3)
        assert state()["reported"] == {"sample_seconds": 0.3, "window": {"freshest_seconds": 2}}, "the reason is gone"
    last = process.events("configured")[-1]["configuration"]
    assert last == {"sample_seconds": 0.3, "window": {"freshest_seconds": 2}}
