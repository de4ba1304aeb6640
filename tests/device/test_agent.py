"""The agent against mosquitto: another broker than AWS's, the same device, unchanged."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from device.__main__ import app
from device.agent import CannotConnectError
from device.assembly import assemble
from device.link import (
    Call,
    ConnectionFailedError,
    Credentials,
    Dial,
    Link,
    Message,
    NotAcknowledgedError,
    OnMessage,
)
from device.resolution import HostPort
from device.settings import Settings
from device.surroundings import Surroundings
from protocol.bundle import BUNDLE_FILE, CHAIN_FILE, KEY_FILE, TRUST_ANCHORS_FILE
from protocol.device_id import parse_device_id
from protocol.telemetry import decode_batch
from protocol.topics import command_filter, command_topic
from tests.device.broker import DOMAIN, SERVER, Broker, folded, heard_by, mosquitto, network
from tests.device.line import connect
from tests.device.loopback import Authority, dns_server, dns_server_of, tunnel_to
from tests.device.process import ROOT
from tests.device.working import settings_of, surroundings_for, working

pytestmark = pytest.mark.judge

START_SECONDS = 30.0


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with mosquitto(tmp_path_factory.mktemp("mosquitto")) as running:
        yield running


class CutOnce:
    """Opens connections, the first of which is cut with a batch on its way, whose answer never comes."""

    def __init__(self, dial: Dial, after: int) -> None:
        self.dial, self.left, self.is_cut = dial, after, False

    async def __call__(self, call: Call, on_message: OnMessage) -> Link:
        link = await self.dial(call, on_message)
        if not self.is_cut:
            publish = link.publish

            async def cut(topic: str, payload: bytes) -> int:
                code = await publish(topic, payload)
                self.left -= 1
                if self.left < 0 and not self.is_cut:
                    self.is_cut = True
                    await link.close()
                    raise NotAcknowledgedError("the answer was lost")
                return code

            return _Wrapped(link, cut)
        return link


class _Wrapped:
    """A link that publishes in a way of its own."""

    def __init__(self, link: Link, publish: Callable[[str, bytes], Awaitable[int]]) -> None:
        self.link, self._publish = link, publish
        self.ended, self.is_resumed, self.subscribe, self.close = (
            link.ended,
            link.is_resumed,
            link.subscribe,
            link.close,
        )

    async def publish(self, topic: str, payload: bytes) -> int:
        return await self._publish(topic, payload)


def working_at(folder: Path, resolver: HostPort, **options: Any) -> tuple[Settings, Surroundings]:
    """Ten milliseconds a row, and no scatter."""
    settings = settings_of(folder, **{"sample_every": timedelta(milliseconds=10), **options})
    return settings, replace(surroundings_for(settings, resolver), random=lambda: 0.0)


def run(folder: Path, events: list[dict[str, Any]], resolver: HostPort, **options: Any) -> dict[str, Any]:
    """The summary of a device that works until it is done."""
    settings, surroundings = working_at(folder, resolver, **options)
    agent = assemble(folder, settings, surroundings, emit=events.append)
    try:
        return asyncio.run(agent.run())
    finally:
        agent.store.close()


def spoken(events: list[dict[str, Any]]) -> list[str]:
    """The names of the events, without those of services that this broker does not have."""
    return [event["event"] for event in list(events) if event["event"] != "not_served"]


def test_batches_reach_another_broker_whole_and_in_order(broker: Broker) -> None:
    events: list[dict[str, Any]] = []
    heard: list[Message] = []
    with network(broker, "device1") as (resolver, proxy):
        listener = broker.connect("listener", proxy, heard)
        listener.subscribe("dt/+/batch")
        summary = run(broker.bundle("device1"), events, resolver, proxy=proxy, batches=3, rows=5)
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
    assert (summary["unheard_batches"], summary["waiting_rows"]) == (0, 0)


def test_a_batch_nobody_listens_to_is_kept_and_sent_again_until_somebody_does(broker: Broker) -> None:
    """The broker takes it with 0x10 and throws it away: that is no delivery."""
    heard: list[Message] = []
    events: list[dict[str, Any]] = []
    folder = broker.bundle("device3")
    with network(broker, "device3") as (resolver, proxy):
        settings, surroundings = working_at(folder, resolver, proxy=proxy, batches=1, rows=2)
        with working(folder, settings, surroundings, events) as device:
            _until(lambda: bool(device.told("unheard")))
            assert device.agent.sender.waiting == 2
            listener = broker.connect("listener", proxy, heard)
            listener.subscribe("dt/device3/batch")
            device.thread.join(START_SECONDS)
            _until(lambda: bool(heard))
            listener.close()
    assert (device.summary["batches"], device.summary["waiting_rows"]) == (1, 0)
    assert device.summary["unheard_batches"] == len(device.told("unheard")) >= 1
    assert device.told("unheard")[0]["retry_in_seconds"] == 5.0, "it does not press those who do not listen"
    assert len(folded(heard)) == 2


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
        listener, connection = broker.connect("listener2", proxy, []), broker.connect("device4", proxy, heard)
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
    folder = broker.bundle("device8")
    with (
        dns_server(f"device8.gw.{DOMAIN}. 60 IN CNAME us1.clusters.{DOMAIN}.") as resolver,
        tunnel_to(broker.port) as (proxy, _asked),
    ):
        settings, surroundings = working_at(folder, resolver, proxy=proxy, batches=1, attempts=3)
        hasty = replace(surroundings, sleep=lambda seconds: asyncio.sleep(seconds / 10))
        agent = assemble(folder, settings, hasty, emit=events.append)
        with pytest.raises(CannotConnectError, match="Hostname mismatch"):
            asyncio.run(agent.run())
    delays = [event["retry_in_seconds"] for event in events if event["event"] == "failed"]
    assert delays == [1.5, 3.0], "the quick tries of a new identity, without their random half"
    assert agent.store.depth > 40, "rows of the whole time, each in the buffer"
    agent.store.close()


def test_what_one_run_could_not_deliver_the_next_one_does_first(broker: Broker) -> None:
    """The buffer outlives the process; each row keeps the epoch, the start and the number it was measured under."""
    heard: list[Message] = []
    folder = broker.bundle("device16")
    with network(broker, "device16") as (resolver, proxy):
        settings, surroundings = working_at(folder, resolver, proxy=HostPort("127.0.0.1", 9), rows=5, attempts=2)
        agent = assemble(folder, settings, surroundings, emit=lambda _event: None)
        with pytest.raises(CannotConnectError, match="through proxy"):
            asyncio.run(agent.run())
        left, epoch = agent.store.depth, agent.store.epoch
        agent.store.close()
        assert left > 100
        listener = broker.connect("listener", proxy, heard)
        listener.subscribe("dt/device16/batch")
        summary = run(folder, [], resolver, proxy=proxy, batches=1, rows=5)
        _until(lambda: len(folded(heard)) == left + 5)
        listener.close()
    batches = [decode_batch(message.payload) for message in heard]
    assert [batch.first for batch in batches] == sorted(batch.first for batch in batches), "in the order of measuring"
    assert {(batch.epoch, batch.boot_count) for batch in batches} == {(epoch + 1, 1), (summary["epoch"], 2)}
    assert summary["epoch"] > epoch + 1


def test_a_connection_that_the_broker_ends_is_not_dialled_again_at_once(broker: Broker) -> None:
    """A second client of the same name takes the session over, as a broker that restarts would end it."""
    events: list[dict[str, Any]] = []
    folder = broker.bundle("device11")
    with network(broker, "device11") as (resolver, proxy), heard_by(broker, proxy, "device11"):
        settings, surroundings = working_at(folder, resolver, proxy=proxy, rows=2)
        patient = replace(surroundings, random=lambda: 0.01)
        with working(folder, settings, patient, events) as device:
            _until(lambda: device.agent.sender.delivered >= 1)
            broker.connect("device11", proxy, []).close()
            _until(lambda: len(device.told("connected")) == 2)
    told = [event["event"] for event in events]
    lost = told.index("failed")
    assert told[lost + 1] == "resolved", "it asks anew where it belongs"
    assert events[lost]["retry_in_seconds"] > 0, "a broker that ends every session must not meet the fleet at once"


def test_a_session_cut_in_the_middle_loses_no_row_and_sends_the_same_batch_again(broker: Broker) -> None:
    """The connection goes while a batch is on its way; whether it had arrived the device cannot know."""
    events: list[dict[str, Any]] = []
    folder = broker.bundle("device12")
    with network(broker, "device12") as (resolver, proxy), heard_by(broker, proxy, "device12") as heard:
        settings, surroundings = working_at(folder, resolver, proxy=proxy, batches=4, rows=5)
        cut = CutOnce(surroundings.dial, after=2)
        hasty = replace(surroundings, dial=cut, random=lambda: 0.01)
        with working(folder, settings, hasty, events) as device:
            device.thread.join(START_SECONDS)
        _until(lambda: len(folded(heard)) == 20)
    batches = [(batch.first, batch.last) for batch in (decode_batch(message.payload) for message in heard)]
    assert len(device.told("failed")) == 1
    assert batches == [(0, 4), (5, 9), (10, 14), (10, 14), (15, 19)], (
        "the interrupted rows first, as the batch they were"
    )
    assert (device.summary["batches"], device.summary["dropped_rows"]) == (4, 0)


def test_a_device_whose_session_ends_notices_while_it_has_nothing_to_send(broker: Broker) -> None:
    events: list[dict[str, Any]] = []
    folder = broker.bundle("device13")
    with network(broker, "device13") as (resolver, proxy):
        settings, surroundings = working_at(folder, resolver, proxy=proxy, rows=1000)
        with working(folder, settings, surroundings, events) as device:
            _until(lambda: bool(device.told("connected")))
            broker.connect("device13", proxy, []).close()
            _until(lambda: len(device.told("connected")) == 2)
            assert device.agent.sampler.taken < 1000, "it did not wait for the batch to be full"
    assert device.summary["waiting_rows"] == device.agent.sampler.taken, "and kept every row that was not acknowledged"


def test_a_connected_device_goes_where_its_name_leads_now_without_being_cut_off(broker: Broker) -> None:
    """The new name is no server of this broker's certificate: what counts here is that it leaves by itself."""
    events: list[dict[str, Any]] = []
    folder = broker.bundle("device14")
    records = [f"device14.gw.{DOMAIN}. 60 IN CNAME {SERVER}."]
    with dns_server_of(records) as resolver, tunnel_to(broker.port) as (proxy, _asked):
        watch = timedelta(milliseconds=200)
        settings, surroundings = working_at(folder, resolver, proxy=proxy, rows=1000, watch_route_every=watch)
        with working(folder, settings, surroundings, events) as device:
            _until(lambda: bool(device.told("connected")))
            records[:] = [f"device14.gw.{DOMAIN}. 60 IN CNAME us1.clusters.{DOMAIN}."]
            _until(lambda: bool(device.told("failed")))
    assert spoken(events)[:5] == ["resolved", "trusted", "connected", "moved", "resolved"]
    assert device.told("moved") == [{"event": "moved", "from": SERVER, "to": f"us1.clusters.{DOMAIN}"}]
    assert "Hostname mismatch" in device.told("failed")[0]["reason"]


def test_a_device_that_is_told_to_move_finishes_its_batch_and_looks_its_name_up(broker: Broker) -> None:
    events: list[dict[str, Any]] = []
    folder = broker.bundle("device17")
    with network(broker, "device17") as (resolver, proxy), heard_by(broker, proxy, "device17") as heard:
        settings, surroundings = working_at(folder, resolver, proxy=proxy, rows=2, watch_route_every=timedelta(days=1))
        with working(folder, settings, surroundings, events) as device:
            _until(lambda: device.agent.sender.delivered >= 2)
            commander = broker.connect("listener2", proxy, [])
            commander.publish(command_topic(parse_device_id("device17"), "move"), b"")
            _until(lambda: len(device.told("connected")) == 2)
            after = device.agent.sender.delivered
            _until(lambda: device.agent.sender.delivered >= after + 2)
            commander.close()
        _until(lambda: len(folded(heard)) == device.agent.sampler.taken)
    told = [name for name in spoken(events) if name != "acknowledged"]
    assert told == ["resolved", "trusted", "connected", "summoned", "resolved", "trusted", "connected"]
    assert len(heard) == device.summary["batches"], "no batch was left half-way, so none came twice"


def test_a_name_that_cannot_be_looked_up_is_no_reason_to_leave(broker: Broker) -> None:
    events: list[dict[str, Any]] = []
    folder = broker.bundle("device15")
    records = [f"device15.gw.{DOMAIN}. 60 IN CNAME {SERVER}."]
    with dns_server_of(records) as resolver, tunnel_to(broker.port) as (proxy, _asked):
        watch = timedelta(milliseconds=200)
        settings, surroundings = working_at(folder, resolver, proxy=proxy, rows=1000, watch_route_every=watch)
        with working(folder, settings, surroundings, events) as device:
            _until(lambda: bool(device.told("connected")))
            records.clear()
            _until(lambda: len(device.told("route_unknown")) >= 2)
    assert len(device.told("resolved")) == len(device.told("connected")) == 1


def test_the_command_line_tells_events_as_json(broker: Broker) -> None:
    with network(broker, "device6") as (resolver, proxy), heard_by(broker, proxy, "device6"):
        options = ["--dns", f"{resolver.host}:{resolver.port}", "--proxy", f"{proxy.host}:{proxy.port}"]
        folder = broker.bundle("device6")
        command = ["run", "--bundle", str(folder), *options, "--batches", "1", "--rows", "2", "--sample-every", "0.01"]
        document = json.loads((folder / BUNDLE_FILE).read_text())
        document["keep_alive_seconds_by_operator"] = {"Nordtel": 192}
        (folder / BUNDLE_FILE).write_text(json.dumps(document))
        in_words = CliRunner().invoke(app, [*command, "--operator", "Nordtell"])
        as_json = CliRunner().invoke(app, [*command, "--json"])
    assert in_words.exit_code == as_json.exit_code == 0
    assert f"device6.gw.{DOMAIN} -> {SERVER}" in in_words.stdout
    assert "--operator Nordtell: is none of the bundle's (Nordtel)" in in_words.stderr, "a slip is said, and no error"
    assert "--operator" not in as_json.stderr
    events = [json.loads(line) for line in as_json.stdout.splitlines()]
    assert spoken(events) == ["resolved", "trusted", "connected", "acknowledged", "summary"]


def _take_key_of_another(folder: Path) -> None:
    _chain, key = Authority.make("Another").issue(folder / "another", "device7")
    key.rename(folder / KEY_FILE)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: (folder / BUNDLE_FILE).unlink(), "give the folder that `provisioning issue` wrote"),
        (lambda folder: (folder / BUNDLE_FILE).write_text("{}"), "bundle.json: device: Field required"),
        (
            lambda folder: (folder / BUNDLE_FILE).write_bytes(b'{"device": "\xff"}'),
            "bundle.json: the document: Invalid",
        ),
        (lambda folder: (folder / KEY_FILE).unlink(), "device.key.pem: there is no such file"),
        (lambda folder: (folder / KEY_FILE).write_text("garbage"), "device.key.pem: is no private key in PEM"),
        (_take_key_of_another, "device.key.pem: is not the key of the certificate in device.chain"),
        (lambda folder: (folder / CHAIN_FILE).write_text("garbage"), "device.chain.pem: holds no certificate"),
        (lambda folder: (folder / TRUST_ANCHORS_FILE).write_text("garbage"), "trust-anchors.pem: holds no certificate"),
        (lambda folder: (folder / TRUST_ANCHORS_FILE).write_text(""), "trust-anchors.pem: holds no certificate"),
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


def test_what_is_no_address_of_a_resolver_is_refused_under_its_options_name(broker: Broker) -> None:
    """One that had to be looked up would need a resolver itself."""
    result = CliRunner().invoke(app, ["run", "--bundle", str(broker.bundle("device7")), "--dns", "localhost:5353"])
    assert result.exit_code == 2
    assert "--dns: 'localhost' is no IP address" in result.stderr


def test_a_reader_of_the_events_that_goes_away_ends_the_device_in_order(broker: Broker) -> None:
    with network(broker, "device8") as (resolver, proxy), heard_by(broker, proxy, "device8"):
        options = ["--dns", f"{resolver.host}:{resolver.port}", "--proxy", f"{proxy.host}:{proxy.port}"]
        command = [sys.executable, "-m", "device", "run", *options, "--rows", "2", "--sample-every", "0.01", "--bundle"]
        running = [
            subprocess.Popen(
                [*command, str(folder), *as_json], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            for folder, as_json in ((broker.bundle("device8"), ["--json"]), (broker.bundle("device8b"), []))
        ]
        for each in running:
            assert each.stdout
            assert "resolved" in each.stdout.readline()
            each.stdout.close()
        for each in running:
            assert each.stderr
            with each.stderr:
                assert (each.stderr.read(), each.wait(START_SECONDS)) == ("", 0), "as `| head -1` has it"


def _until(reached: Any) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_keep_alive_is_that_of_the_network_it_is_in(broker: Broker) -> None:
    """Looked up at each connect: a device that roams is in another network then."""
    folder = broker.bundle("device18")
    document = json.loads((folder / BUNDLE_FILE).read_text())
    (folder / BUNDLE_FILE).write_text(json.dumps(document | {"keep_alive_seconds_by_operator": {"Nordtel": 192}}))
    kept: dict[str, float] = {}
    with network(broker, "device18") as (resolver, proxy), heard_by(broker, proxy, "device18"):
        for operator in ("", "Nordtel", "Elsewhere"):
            events: list[dict[str, Any]] = []
            run(folder, events, resolver, proxy=proxy, batches=1, rows=1, operator=operator)
            kept[operator] = next(event["keep_alive_seconds"] for event in events if event["event"] == "connected")
    assert kept == {"": 240, "Nordtel": 192, "Elsewhere": 240}


def test_a_command_that_was_sent_while_the_device_was_away_reaches_it_when_it_is_back(broker: Broker) -> None:
    """The broker keeps the session for as long as the bundle says."""
    folder = broker.bundle("device19")
    with network(broker, "device19") as (resolver, proxy), heard_by(broker, proxy, "device19"):
        run(folder, [], resolver, proxy=proxy, batches=1, rows=1)
        commander = broker.connect("listener2", proxy, [])
        commander.publish(command_topic(parse_device_id("device19"), "move"), b"")
        commander.close()
        events: list[dict[str, Any]] = []
        settings, surroundings = working_at(folder, resolver, proxy=proxy, rows=1000)
        with working(folder, settings, surroundings, events) as device:
            _until(lambda: len(device.told("connected")) == 2)
    assert device.told("connected")[0]["is_resumed"]
    assert len(device.told("summoned")) == 1
