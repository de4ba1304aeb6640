"""The agent against mosquitto: another broker than AWS's, the same device, unchanged."""

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from device.__main__ import app
from device.agent import Agent, CannotConnectError, Settings
from device.connection import Connection, ConnectionFailedError, Credentials, Message, NotAcknowledgedError, connect
from device.resolution import HostPort
from protocol.bundle import BUNDLE_FILE, CHAIN_FILE, KEY_FILE, TRUST_ANCHORS_FILE, Bundle, Topics, read_bundle
from protocol.device_id import parse_device_id
from protocol.measurement import Batch
from protocol.telemetry import decode_batch
from protocol.topics import batch_topic, command_filter, command_topic
from tests.device.loopback import Authority, dns_server, dns_server_of, tunnel_to

pytestmark = pytest.mark.judge

DOMAIN = "iot.example.com"
SERVER = f"eu1.clusters.{DOMAIN}"
START_SECONDS = 30.0


@dataclass
class Broker:
    """A mosquitto that asks for certificates of `authority` and knows nothing of AWS."""

    port: int
    authority: Authority
    folder: Path

    def bundle(self, device: str) -> Path:
        """A bundle as the factory writes it."""
        folder = self.folder / device
        chain, key = self.authority.issue(folder, device)
        chain.rename(folder / CHAIN_FILE)
        key.rename(folder / KEY_FILE)
        self.authority.write(folder / TRUST_ANCHORS_FILE)
        identity = parse_device_id(device)
        document = Bundle(
            device=device,
            model="fl100",
            domain=DOMAIN,
            hostname=f"{device}.gw.{DOMAIN}",
            topics=Topics(batch=batch_topic(identity), commands=command_filter(identity)),
            reconnect_window_seconds=30,
        )
        (folder / BUNDLE_FILE).write_text(document.model_dump_json())
        return folder

    def connect(self, device: str, proxy: HostPort, messages: list[Message]) -> Connection:
        folder = self.bundle(device)
        files = Credentials(folder / CHAIN_FILE, folder / KEY_FILE, folder / TRUST_ANCHORS_FILE)
        return connect(SERVER, 8883, files, client_id=device, proxy=proxy, on_message=messages.append)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    folder = tmp_path_factory.mktemp("mosquitto")
    authority = Authority.make("Ours")
    certificate, key = authority.issue(folder, SERVER)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    access = folder / "access"
    access.write_text(
        "pattern write dt/%u/#\npattern read cmd/%u/#\nuser listener\ntopic read dt/#\ntopic write cmd/#\n"
    )
    access.chmod(0o600)
    configuration = folder / "mosquitto.conf"
    configuration.write_text(
        f"listener {port} 127.0.0.1\nuser root\ncafile {authority.write(folder / 'ca.pem')}\ncertfile {certificate}\n"
        f"keyfile {key}\nrequire_certificate true\nuse_identity_as_username true\nacl_file {access}\n"
    )
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(["/usr/sbin/mosquitto", "-c", str(configuration)], stdout=log, stderr=log)
    try:
        _wait_for(port, folder / "log")
        yield Broker(port, authority, folder)
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError(log.read_text())


@contextmanager
def network(broker: Broker, device: str) -> Iterator[tuple[HostPort, HostPort]]:
    """Resolver and proxy of a world in which the device's name leads to the broker."""
    with (
        dns_server(f"{device}.gw.{DOMAIN}. 60 IN CNAME {SERVER}.") as resolver,
        tunnel_to(broker.port) as (proxy, _asked),
    ):
        yield resolver, proxy


def agent(folder: Path, events: list[dict[str, Any]], **options: Any) -> Agent:
    settings = Settings(
        **{"folder": folder, "key": folder / KEY_FILE, "sample_every": timedelta(milliseconds=10), **options}
    )
    return Agent(
        bundle=read_bundle(folder),
        settings=settings,
        emit=events.append,
        clock=lambda: datetime.now(UTC),
        random=lambda: 0.0,
        sleep=time.sleep,
    )


def test_batches_reach_another_broker_whole_and_in_order(broker: Broker) -> None:
    events: list[dict[str, Any]] = []
    heard: list[Message] = []
    with network(broker, "device1") as (resolver, proxy):
        listener = broker.connect("listener", proxy, heard)
        listener.subscribe("dt/+/batch")
        summary = agent(broker.bundle("device1"), events, proxy=proxy, resolver=resolver, batches=3, rows=5).run()
        _until(lambda: len(heard) == 3)
        listener.close()
    batches = [decode_batch(message.payload) for message in heard]
    assert [message.topic for message in heard] == ["dt/device1/batch"] * 3
    assert [(batch.first, batch.last) for batch in batches] == [(0, 4), (5, 9), (10, 14)]
    assert {batch.epoch for batch in batches} == {summary["epoch"]}
    told = [row for event in events if event["event"] == "acknowledged" for row in event["rows"]]
    arrived = [
        [row.sequence, row.time.isoformat(), reading.channel, str(reading.value), reading.unit]
        for batch in batches
        for row in batch.rows
        for reading in row.readings
    ]
    assert [row[:3] for row in told] == [row[:3] for row in arrived]
    assert summary["unheard_batches"] == 0


def test_a_batch_nobody_listens_to_is_counted(broker: Broker) -> None:
    with network(broker, "device3") as (resolver, proxy):
        summary = agent(broker.bundle("device3"), [], proxy=proxy, resolver=resolver, batches=1, rows=2).run()
    assert (summary["batches"], summary["unheard_batches"]) == (1, 1)


def test_a_device_without_a_certificate_of_the_authority_is_not_let_in(broker: Broker) -> None:
    stranger = Broker(broker.port, Authority.make("Another"), broker.folder / "another")
    folder = stranger.bundle("device9")
    broker.authority.write(folder / TRUST_ANCHORS_FILE)
    files = Credentials(folder / CHAIN_FILE, folder / KEY_FILE, folder / TRUST_ANCHORS_FILE)
    with network(broker, "device9") as (_resolver, proxy), pytest.raises(ConnectionFailedError):
        connect(SERVER, 8883, files, client_id="device9", proxy=proxy)


def test_a_command_comes_down_and_another_devices_topic_is_refused(broker: Broker) -> None:
    heard: list[Message] = []
    device = parse_device_id("device4")
    with network(broker, "device4") as (_resolver, proxy):
        listener, connection = broker.connect("listener", proxy, []), broker.connect("device4", proxy, heard)
        connection.subscribe(command_filter(device))
        listener.publish(command_topic(device, "move"), b"now")
        _until(lambda: bool(heard))
        with pytest.raises(NotAcknowledgedError, match="NOT_AUTHORIZED"):
            connection.publish("dt/device5/batch", b"not mine")
        connection.close()
        listener.close()
    assert heard == [Message("cmd/device4/move", b"now")]


def test_the_agent_gives_up_after_the_attempts_it_was_given_and_keeps_sampling_meanwhile(broker: Broker) -> None:
    events: list[dict[str, Any]] = []
    naps: list[float] = []
    with (
        dns_server(f"device8.gw.{DOMAIN}. 60 IN CNAME us1.clusters.{DOMAIN}.") as resolver,
        tunnel_to(broker.port) as (proxy, _asked),
    ):
        tried = agent(broker.bundle("device8"), events, proxy=proxy, resolver=resolver, batches=1, attempts=3)
        tried.sleep = naps.append
        with pytest.raises(CannotConnectError, match="Hostname mismatch"):
            tried.run()
    delays = [event["retry_in_seconds"] for event in events if event["event"] == "failed"]
    assert delays == [1.5, 3.0], "the quick tries of a new identity, without their random half"
    assert len(tried.waiting) == len(naps) == 450, "4.5 s of rows at one each 10 ms"


def test_a_connection_that_the_broker_ends_is_not_dialled_again_at_once(broker: Broker) -> None:
    """A second client of the same name takes the session over, as a broker that restarts would end it."""
    events: list[dict[str, Any]] = []
    folder = broker.bundle("device11")
    with network(broker, "device11") as (resolver, proxy):
        running = agent(folder, events, proxy=proxy, resolver=resolver, batches=2, rows=2, attempts=2)

        def take_over(event: dict[str, Any]) -> None:
            events.append(event)
            if event["event"] == "acknowledged" and len(events) == 4:
                broker.connect("device11", proxy, []).close()
                time.sleep(0.2)

        running.emit, running.random = take_over, lambda: 0.01
        assert running.run()["batches"] == 2
    assert [event["event"] for event in events][3:6] == ["acknowledged", "failed", "resolved"]
    assert events[4]["retry_in_seconds"] > 0, "a broker that ends every session must not meet the whole fleet at once"


def test_a_session_cut_in_the_middle_loses_no_row_and_sends_the_same_batch_again(broker: Broker) -> None:
    """The connection goes while a batch is on its way; whether it had arrived the device cannot know."""
    events: list[dict[str, Any]] = []
    heard: list[Message] = []
    folder = broker.bundle("device12")
    with network(broker, "device12") as (resolver, proxy):
        listener = broker.connect("listener", proxy, heard)
        listener.subscribe("dt/+/batch")
        running = agent(folder, events, proxy=proxy, resolver=resolver, batches=4, rows=5)
        running.random = lambda: 0.01
        delivering = running._deliver

        def cut_once(connection: Connection, template: Batch) -> None:
            if running.delivered == 2 and not any(event["event"] == "failed" for event in events):
                connection.close()
            delivering(connection, template)

        running._deliver = cut_once  # type: ignore[method-assign]
        summary = running.run()
        _until(lambda: len({message.payload for message in heard}) == 4)
        listener.close()
    batches = {(batch.first, batch.last) for batch in (decode_batch(message.payload) for message in heard)}
    assert [event["event"] for event in events].count("failed") == 1
    assert batches == {(0, 4), (5, 9), (10, 14), (15, 19)}, "the interrupted rows go first, as the batch they were"
    assert (summary["batches"], summary["dropped_rows"]) == (4, 0)


def test_a_device_whose_session_ends_notices_while_it_gathers_rows(broker: Broker) -> None:
    events: list[dict[str, Any]] = []
    folder = broker.bundle("device13")
    with network(broker, "device13") as (resolver, proxy):
        running = agent(folder, events, proxy=proxy, resolver=resolver, batches=2, rows=1000, attempts=1)

        def take_over(_seconds: float) -> None:
            if running.sequence == 1500:
                broker.connect("device13", proxy, []).close()
                time.sleep(0.3)

        running.sleep = take_over
        with pytest.raises(CannotConnectError):
            running.run()
    assert running.sequence < 1600, "it did not wait for the batch to be full"
    assert running.waiting[0].sequence == 1000, "and kept every row that was not acknowledged"


def test_a_connected_device_goes_where_its_name_leads_now_without_being_cut_off(broker: Broker) -> None:
    """The new name is no server of this broker's certificate: what counts here is that it leaves by itself."""
    events: list[dict[str, Any]] = []
    folder = broker.bundle("device14")
    records = [f"device14.gw.{DOMAIN}. 60 IN CNAME {SERVER}."]
    with dns_server_of(records) as resolver, tunnel_to(broker.port) as (proxy, _asked):
        watch = timedelta(milliseconds=1)
        running = agent(
            folder, events, proxy=proxy, resolver=resolver, batches=9, rows=2, attempts=1, watch_route_every=watch
        )

        def move(event: dict[str, Any]) -> None:
            events.append(event)
            if event["event"] == "acknowledged" and running.delivered == 3:
                records[:] = [f"device14.gw.{DOMAIN}. 60 IN CNAME us1.clusters.{DOMAIN}."]

        running.emit = move
        with pytest.raises(CannotConnectError, match="Hostname mismatch"):
            running.run()
    told = [event["event"] for event in events]
    assert told == ["resolved", "trusted", "connected", *["acknowledged"] * 3, "moved", "resolved"]
    assert events[6] == {"event": "moved", "from": SERVER, "to": f"us1.clusters.{DOMAIN}"}


def test_a_name_that_cannot_be_looked_up_is_no_reason_to_leave(broker: Broker) -> None:
    events: list[dict[str, Any]] = []
    folder = broker.bundle("device15")
    records = [f"device15.gw.{DOMAIN}. 60 IN CNAME {SERVER}."]
    with dns_server_of(records) as resolver, tunnel_to(broker.port) as (proxy, _asked):
        watch = timedelta(milliseconds=1)
        running = agent(folder, events, proxy=proxy, resolver=resolver, batches=3, rows=2, watch_route_every=watch)

        def lose_the_name(event: dict[str, Any]) -> None:
            events.append(event)
            records.clear()

        running.emit = lose_the_name
        assert running.run()["batches"] == 3
    told = [event["event"] for event in events]
    assert told.count("resolved") == told.count("connected") == 1
    assert "route_unknown" in told


def test_the_command_line_tells_events_as_json(broker: Broker) -> None:
    with network(broker, "device6") as (resolver, proxy):
        options = ["--dns", f"{resolver.host}:{resolver.port}", "--proxy", f"{proxy.host}:{proxy.port}"]
        folder = broker.bundle("device6")
        command = ["run", "--bundle", str(folder), *options, "--batches", "1", "--rows", "2", "--sample-every", "0.01"]
        spoken = CliRunner().invoke(app, command)
        as_json = CliRunner().invoke(app, [*command, "--json"])
    assert spoken.exit_code == as_json.exit_code == 0
    assert f"device6.gw.{DOMAIN} -> {SERVER}" in spoken.stdout
    events = [json.loads(line) for line in as_json.stdout.splitlines()]
    assert [event["event"] for event in events] == ["resolved", "trusted", "connected", "acknowledged", "summary"]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: (folder / BUNDLE_FILE).unlink(), "give the folder that `provisioning issue` wrote"),
        (lambda folder: (folder / BUNDLE_FILE).write_text("{}"), "bundle.json: device: Field required"),
        (lambda folder: (folder / KEY_FILE).unlink(), "device.key.pem: there is no such file"),
    ],
)
def test_a_bundle_that_is_not_whole_is_refused_before_anything_is_dialled(
    broker: Broker, spoil: Any, said: str
) -> None:
    folder = broker.bundle("device7")
    spoil(folder)
    result = CliRunner().invoke(app, ["run", "--bundle", str(folder)])
    assert result.exit_code == 2
    assert said in result.stderr.replace("\n", "")


def _until(reached: Any) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.02)
