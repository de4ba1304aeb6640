"""What AWS IoT of a cluster's region says of connected devices, and how it lets one go."""

import queue
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from awscrt import http, mqtt5
from awsiot import mqtt5_client_builder

from fleet.routing.presence import MAX_ASKED_ONE_BY_ONE, IotPresence, Sighting
from protocol.bundle import CHAIN_FILE, KEY_FILE, MQTT_TLS_PORT, TRUST_ANCHORS_FILE
from protocol.device_id import DeviceId, parse_device_id
from protocol.topics import command_filter, command_topic
from tests.e2e.world import World

pytestmark = pytest.mark.cloud

LINE = "line-a"
CLOCK_TOLERANCE = timedelta(seconds=5)


def presence(dev: World, cluster: str, wait_turn: Callable[[], None] = lambda: None) -> IotPresence:
    return IotPresence(
        cluster=cluster, iot=dev.client("iot", cluster), iot_data=dev.client("iot-data", cluster), wait_turn=wait_turn
    )


def many(device: DeviceId) -> list[DeviceId]:
    """The device among so many others that all of the region are listed."""
    return [device, *(parse_device_id(f"never-made-{number}") for number in range(MAX_ASKED_ONE_BY_ONE))]


def test_a_device_is_seen_where_it_is_connected_since_when_and_after_it_left(dev: World) -> None:
    device = parse_device_id("seen1")
    dev.make_device(device, LINE)
    here, elsewhere = presence(dev, "eu1"), presence(dev, "us1")
    assert here.look([device], only_connected=False) == {}, "it never connected"
    before = datetime.now(UTC)
    with dev.connected(device) as connection:
        for devices in ([device], many(device)):
            seen = here.look(devices, only_connected=True)
            assert list(seen) == [device]
            assert seen[device].connected
            assert before - CLOCK_TOLERANCE < seen[device].since < datetime.now(UTC) + CLOCK_TOLERANCE
        assert elsewhere.look([device], only_connected=False) == {}
        assert here.drop(device)
        assert "ADMINISTRATIVE_ACTION" in (connection.wait_ended(30) or "still open"), "it is told, and cut off"
    assert not here.drop(device), "there is nothing left to close"
    connected_since = seen[device].since
    for devices in ([device], many(device)):
        left = here.look(devices, only_connected=False)[device]
        assert left == Sighting(cluster="eu1", connected=False, since=left.since)
        assert left.since >= connected_since
    assert here.look(many(device), only_connected=True) == {}


def test_many_are_listed_page_by_page_at_the_pace_that_is_given(dev: World) -> None:
    turns: list[None] = []
    device = parse_device_id("among-many")
    dev.make_device(device, LINE)
    iot = dev.client("iot", "eu1")
    for number in range(120):
        iot.create_thing(thingName=f"crowd-{number}")
    try:
        with dev.connected(device):
            seen = presence(dev, "eu1", lambda: turns.append(None)).look(many(device), only_connected=False)
        assert seen[device].connected
        assert len(turns) >= 2, "120 things do not fit in one page, and each page is one request"
    finally:
        for number in range(120):
            iot.delete_thing(thingName=f"crowd-{number}")


def test_an_ended_session_forgets_what_waited_for_the_device_and_a_dropped_one_does_not(dev: World) -> None:
    device = parse_device_id("sleeper")
    dev.make_device(device, LINE)
    with dev.connected(device):
        pass
    here, iot_data = presence(dev, "eu1"), dev.client("iot-data", "eu1")

    assert _heard_on_return(dev, device, lambda: here.drop(device), iot_data) == [b"while away"]
    assert _heard_on_return(dev, device, lambda: here.end_session(device), iot_data) == []


def _heard_on_return(dev: World, device: DeviceId, leave: Callable[[], object], iot_data: Any) -> list[bytes]:
    """What a device with a persistent session hears after it was away, without subscribing again."""
    heard: list[bytes] = []
    first = _persistent(dev, device, heard)
    first.subscribe(
        mqtt5.SubscribePacket(subscriptions=[mqtt5.Subscription(command_filter(device), mqtt5.QoS.AT_LEAST_ONCE)])
    ).result(30)
    leave()
    first.stop()
    dev.until(lambda: not presence(dev, "eu1").look([device], only_connected=False)[device].connected)
    iot_data.publish(topic=command_topic(device, "go"), payload=b"while away", qos=1)
    second = _persistent(dev, device, heard)
    # What waited comes before anything asked for now: so its answer says that nothing more will come.
    second.subscribe(
        mqtt5.SubscribePacket(subscriptions=[mqtt5.Subscription(command_filter(device), mqtt5.QoS.AT_LEAST_ONCE)])
    ).result(30)
    iot_data.publish(topic=command_topic(device, "go"), payload=b"marker", qos=1)
    dev.until(lambda: b"marker" in heard)
    second.stop(mqtt5.DisconnectPacket(session_expiry_interval_sec=0))
    return [payload for payload in heard if payload != b"marker"]


def _persistent(dev: World, device: DeviceId, heard: list[bytes]) -> Any:
    folder = dev.home / "devices" / device
    connected: queue.SimpleQueue[None] = queue.SimpleQueue()
    client = mqtt5_client_builder.mtls_from_path(
        str(folder / CHAIN_FILE),
        str(folder / KEY_FILE),
        endpoint=dev.route(device),
        port=MQTT_TLS_PORT,
        ca_filepath=str(folder / TRUST_ANCHORS_FILE),
        client_id=device,
        http_proxy_options=http.HttpProxyOptions(
            dev.proxy.host, dev.proxy.port, connection_type=http.HttpProxyConnectionType.Tunneling
        ),
        enable_metrics_collection=False,
        session_behavior=mqtt5.ClientSessionBehaviorType.REJOIN_ALWAYS,
        session_expiry_interval_sec=600,
        on_publish_received=lambda data: heard.append(bytes(data.publish_packet.payload)),
        on_lifecycle_connection_success=lambda _data: connected.put(None),
    )
    client.start()
    connected.get(timeout=60)
    return client
