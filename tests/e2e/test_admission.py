"""Who gets in: exactly the identities the factory stands by, each as itself, each where its name leads."""

import pytest

from device.link import ConnectionFailedError, Credentials, Message, NotAcknowledgedError
from device.preflight import PreflightError, check_tls
from protocol.bundle import CHAIN_FILE, KEY_FILE, TRUST_ANCHORS_FILE
from protocol.device_id import parse_device_id
from protocol.topics import batch_topic, command_filter, command_topic
from tests.device.line import connect
from tests.device.loopback import tunnel_to
from tests.e2e.world import World

pytestmark = pytest.mark.cloud

FILE_LINE, KMS_LINE = "line-a", "line-b"


@pytest.mark.parametrize("authority", [FILE_LINE, KMS_LINE])
def test_a_listed_identity_is_admitted_whatever_holds_its_authoritys_key(dev: World, authority: str) -> None:
    device = f"listed-{authority}"
    dev.make_device(device, authority)
    with dev.connected(device) as connection:
        assert connection.is_open
    assert dev.certificate_status(device, "eu1") == "ACTIVE"
    thing = dev.client("iot", "eu1").describe_thing(thingName=device)
    assert thing["thingTypeName"] == "fl100"
    assert thing["attributes"]["authority"] == authority


def test_a_certificate_the_manifest_does_not_list_is_never_admitted(dev: World) -> None:
    dev.issue("unlisted", FILE_LINE)
    assert dev.stays_out("unlisted"), "signed by our own authority, and still unknown"
    assert dev.certificate_status("unlisted", "eu1") == "PENDING_ACTIVATION"
    iot = dev.client("iot", "eu1")
    with pytest.raises(iot.exceptions.ResourceNotFoundException):
        iot.describe_thing(thingName="unlisted")
    counted = dev.client("cloudwatch", "eu1").list_metrics(Namespace="Flotilla", MetricName="RegistrationsRefused")
    assert counted["Metrics"], "a refusal is counted, so that the alarm can ring"


def test_a_device_that_knocked_before_its_manifest_came_is_admitted_after_it(dev: World) -> None:
    dev.issue("early", FILE_LINE)
    with pytest.raises(ConnectionFailedError):
        dev.knock("early")
    dev.until(lambda: dev.certificate_status("early", "eu1") == "PENDING_ACTIVATION")
    dev.sync()
    with dev.connected("early") as connection:
        assert connection.is_open


def test_a_device_cannot_connect_under_anothers_name(dev: World) -> None:
    dev.make_device("itself", FILE_LINE)
    dev.make_device("another", FILE_LINE)
    with dev.connected("itself"), dev.connected("another"):
        pass
    assert dev.stays_out("itself", client_id="another")
    assert dev.stays_out("itself", client_id="nobody")


def test_a_device_publishes_subscribes_and_receives_on_its_own_topics_only(dev: World) -> None:
    heard: list[Message] = []
    own, other = parse_device_id("topics1"), parse_device_id("topics2")
    for device in (own, other):
        dev.make_device(device, FILE_LINE)
    with dev.connected(own, on_message=heard.append) as connection:
        connection.publish(batch_topic(own), b"ours")
        connection.subscribe(command_filter(own))
        dev.client("iot-data", "eu1").publish(topic=command_topic(own, "go"), payload=b"1", qos=1)
        dev.until(lambda: bool(heard))
    assert [message.topic for message in heard] == [command_topic(own, "go")]

    with dev.connected(own) as connection, pytest.raises(NotAcknowledgedError):
        connection.publish(batch_topic(other), b"not ours")
    for forbidden in (command_filter(other), "cmd/+/+", "#", f"$aws/things/{other}/jobs/notify"):
        with dev.connected(own, on_message=heard.append) as connection:
            with pytest.raises(NotAcknowledgedError):
                connection.subscribe(forbidden)
            dev.client("iot-data", "eu1").publish(topic=command_topic(other, "go"), payload=b"2", qos=1)
            connection.wait_ended(0.5)
    assert len(heard) == 1, "nothing of another's ever came"


def test_a_revoked_identity_is_disconnected_and_stays_out(dev: World) -> None:
    dev.make_device("revoked", FILE_LINE)
    with dev.connected("revoked") as connection:
        dev.revoke("revoked")
        assert "ADMINISTRATIVE_ACTION" in (connection.wait_ended(30) or "still open"), "its session was cut"
    assert dev.stays_out("revoked")
    dev.sync()
    assert dev.stays_out("revoked"), "a later sync does not bring it back"
    for cluster in ("eu1", "us1"):
        assert dev.certificate_status("revoked", cluster) in {"REVOKED", None}


def test_a_device_whose_identity_was_revoked_comes_back_with_a_new_one(dev: World) -> None:
    folder = dev.make_device("repaired", FILE_LINE)
    with dev.connected("repaired"):
        dev.revoke("repaired")
    first = dev.fingerprint("repaired")
    (folder / KEY_FILE).unlink()  # a new secure element was soldered in
    dev.make_device("repaired", FILE_LINE)
    assert dev.fingerprint("repaired") != first
    with dev.connected("repaired") as connection:
        assert connection.is_open


def test_a_deactivated_authority_admits_nobody(dev: World) -> None:
    iot = dev.client("iot", "eu1")
    authority = dev.deployment.outputs.authorities[KMS_LINE].ca_certificate_ids["eu1"]
    dev.make_device("orphan", KMS_LINE)
    iot.update_ca_certificate(certificateId=authority, newStatus="INACTIVE")
    try:
        assert dev.stays_out("orphan")
        assert dev.certificate_status("orphan", "eu1") is None
    finally:
        iot.update_ca_certificate(certificateId=authority, newStatus="ACTIVE")
    with dev.connected("orphan") as connection:
        assert connection.is_open, "it was the authority, and nothing else"


def test_a_pinned_device_lands_on_its_own_cluster_and_every_other_on_the_default(dev: World) -> None:
    dev.make_device("pinned1", FILE_LINE)
    dev.make_device("ordinary", FILE_LINE)
    with dev.connected("pinned1"), dev.connected("ordinary"):
        assert dev.route("pinned1") == f"us1.clusters.{dev.domain}"
        assert dev.route("ordinary") == f"eu1.clusters.{dev.domain}"
    assert dev.certificate_status("pinned1", "us1") == "ACTIVE"
    assert dev.certificate_status("pinned1", "eu1") is None
    assert dev.certificate_status("ordinary", "eu1") == "ACTIVE"
    assert dev.certificate_status("ordinary", "us1") is None


def test_a_wrong_server_name_fails_the_handshake(dev: World) -> None:
    folder = dev.issue("careful", FILE_LINE)
    anchors = folder / TRUST_ANCHORS_FILE
    cell = dev.deployment.record.cells[dev.deployment.outputs.clusters["eu1"].region]
    with tunnel_to(cell.mqtt_port) as (proxy, _asked):
        assert check_tls(f"eu1.clusters.{dev.domain}", 8883, trust_anchors=anchors, proxy=proxy)
        wrong = "eu1.clusters.iot.example.net"
        with pytest.raises(PreflightError, match="Hostname mismatch"):
            check_tls(wrong, 8883, trust_anchors=anchors, proxy=proxy)
        files = Credentials(folder / CHAIN_FILE, folder / KEY_FILE, anchors)
        with pytest.raises(ConnectionFailedError):
            connect(wrong, 8883, files, client_id="careful", proxy=proxy)
