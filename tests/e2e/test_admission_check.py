"""Whom a real target would let in, read from its region."""

from datetime import UTC, datetime

import pytest

from fleet.routing.admission_check import MAX_ASKED_ONE_BY_ONE, IotAdmission, Place, refusals
from protocol.device_id import DeviceId, parse_device_id
from tests.e2e.world import World

pytestmark = pytest.mark.cloud


def refused(dev: World, cluster: str, *devices: DeviceId) -> dict[DeviceId, str]:
    outputs = dev.deployment.outputs
    place = Place(
        cluster=cluster,
        manifest_table=outputs.clusters[cluster].manifest_table,
        policy=outputs.device_policy_name,
        authorities={
            name: each.ca_certificate_ids[cluster]
            for name, each in outputs.authorities.items()
            if cluster in each.ca_certificate_ids
        },
    )
    desk = IotAdmission(
        place=place,
        iot=dev.client("iot", cluster),
        dynamodb=dev.client("dynamodb", cluster),
        wait_turn=lambda: None,
    )
    return refusals(place, devices, desk.read(devices), now=datetime.now(UTC))


def test_a_target_is_asked_what_its_registrar_will_ask(dev: World) -> None:
    good, early, revoked = (parse_device_id(name) for name in ("check-good", "check-early", "check-revoked"))
    dev.make_device(good, "line-a")
    dev.make_device(revoked, "line-b")
    dev.issue(early, "line-a")
    dev.revoke(revoked)
    reasons = refused(dev, "us1", good, early, revoked)
    assert set(reasons) == {early, revoked}
    assert "does not list the device" in reasons[early]
    assert "is revoked" in reasons[revoked]


def test_a_certificate_that_a_person_took_out_of_the_target_is_not_brought_back_by_a_move(dev: World) -> None:
    device = parse_device_id("check-inactive")
    dev.make_device(device, "line-a")
    with dev.connected(device):
        pass
    assert refused(dev, "eu1", device) == {}
    dev.client("iot", "eu1").update_certificate(certificateId=dev.fingerprint(device), newStatus="INACTIVE")
    assert "is INACTIVE there" in refused(dev, "eu1", device)[device]
    assert refused(dev, "us1", device) == {}, "another cluster is another matter"


def test_an_authority_that_is_not_active_in_the_target_admits_nobody_there(dev: World) -> None:
    device = parse_device_id("check-authority")
    dev.make_device(device, "line-b")
    iot = dev.client("iot", "us1")
    authority = dev.deployment.outputs.authorities["line-b"].ca_certificate_ids["us1"]
    iot.update_ca_certificate(certificateId=authority, newStatus="INACTIVE")
    try:
        assert "authority line-b is not registered and active" in refused(dev, "us1", device)[device]
    finally:
        iot.update_ca_certificate(certificateId=authority, newStatus="ACTIVE")
    assert refused(dev, "us1", device) == {}


def test_many_devices_are_checked_by_lists(dev: World, monkeypatch: pytest.MonkeyPatch) -> None:
    device = parse_device_id("check-many")
    dev.make_device(device, "line-a")
    with dev.connected(device):
        pass
    monkeypatch.setattr("fleet.routing.admission_check.MAX_ASKED_ONE_BY_ONE", 0)
    assert MAX_ASKED_ONE_BY_ONE > 0
    crowd = [parse_device_id(f"nobody-{number}") for number in range(200)]
    assert set(refused(dev, "eu1", device, *crowd)) == set(crowd)
    dev.client("iot", "eu1").update_certificate(certificateId=dev.fingerprint(device), newStatus="INACTIVE")
    assert "is INACTIVE there" in refused(dev, "eu1", device)[device], "its status came from the list"
