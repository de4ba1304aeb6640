"""An engineer looks at one device for some hours: it comes to the desk, its data goes on arriving, and it goes home."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from device.link import ConnectionFailedError, Credentials, NotAcknowledgedError
from device.preflight import check_tls
from fleet.gateway.certificates import bridge_certificate
from fleet.gateway.policy import gateway_client_id, gateway_policy_name
from local.addresses import stand_for
from local.aws_environment import aws_environment
from local.lake import read_lake, sent_measurements
from local.program import PROJECT_ROOT
from protocol.bundle import CHAIN_FILE, KEY_FILE, MQTT_TLS_PORT, TRUST_ANCHORS_FILE
from protocol.device_id import parse_device_id
from protocol.hostnames import cluster_hostname, device_hostname
from protocol.topics import batch_topic, command_topic
from provisioning.key_file import read_device_key
from provisioning.profile import Validity
from tests.device.line import connect
from tests.e2e.world import World
from tests.fleet.gateway_desk import free_port, running

pytestmark = [pytest.mark.cloud, pytest.mark.judge]

ADDRESS = "192.0.2.77"
CLUSTER_ADDRESS = "127.0.0.77"
"""Loopback, and nobody else's: there the cluster has the port that its name is dialled at."""
PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Redirected:
    """A gateway that was made by the command, its ports, and what the command said."""

    folder: Path
    port: int
    watch: int
    told: dict[str, Any]


def fleet(dev: World, *arguments: str, later: str = "", code: int = 0) -> subprocess.CompletedProcess[str]:
    """`python -m fleet route …` as a person runs it, on a day that may be later."""
    variables = os.environ | dict(aws_environment(dev.deployment.record))
    command = [*(("faketime", "-f", later) if later else ()), sys.executable, "-m", "fleet", "route", *arguments]
    done = subprocess.run(command, cwd=PROJECT_ROOT, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def place(dev: World) -> tuple[str, ...]:
    return ("--stack", "dev", "--outputs", str(dev.home / "outputs.json"))


def order(dev: World, device: str, folder: Path, port: int, watch: int, *more: str) -> tuple[str, ...]:
    return (
        *("debug", device, *place(dev), "--gateway", ADDRESS, "--for", "4h", "--owner", "firmware-team"),
        *("--reason", "batches look odd", "--out", str(folder), "--factory", str(dev.home / "factory")),
        *("--authorities", str(dev.home / "authorities"), "--trust-anchors", str(dev.home / "trust-anchors.pem")),
        *("--listen", f"127.0.0.1:{port}", "--watch-port", str(watch), "--json", *more),
    )


def redirect(dev: World, device: str, folder: Path, *more: str) -> Redirected:
    port, watch = free_port(), free_port()
    told = json.loads(fleet(dev, *order(dev, device, folder, port, watch, *more)).stdout)
    stand_for(dev.home, ADDRESS, MQTT_TLS_PORT, listener=port)
    return Redirected(folder, port, watch, told)


def deliver(dev: World, device: str, *, batches: int = 1) -> list[dict[str, Any]]:
    """Run the device until so many batches are acknowledged; its events."""
    told = dev.run(
        *("device", "run", "--bundle", str(dev.home / "devices" / device), "--attempts", "6", "--json"),
        *("--dns", dev.deployment.record.dns, "--proxy", dev.deployment.record.proxy),
        *("--batches", str(batches), "--rows", "5", "--sample-every", "0.05"),
    )
    return [json.loads(line) for line in told.splitlines()]


def has_arrived(dev: World, device: str, events: list[dict[str, Any]]) -> None:
    bucket, s3 = dev.deployment.outputs.clusters["eu1"].lake_bucket, dev.client("s3", "eu1")
    sent = sent_measurements(events)
    assert sent
    dev.until(lambda: read_lake(s3, bucket, device=device, epoch=events[-1]["epoch"]).measurements == sent)


@contextmanager
def cluster_at_its_port(dev: World) -> Iterator[dict[str, str]]:
    """The cluster's listener at the port its name is dialled at; the names a gateway's broker must see for that."""
    target = dev.deployment.record.cells[dev.deployment.outputs.clusters["eu1"].region].mqtt_port
    listening = socket.create_server((CLUSTER_ADDRESS, MQTT_TLS_PORT))
    threads: list[threading.Thread] = []

    def serve() -> None:
        with suppress(OSError):  # closed: the test is over
            while True:
                client, _peer = listening.accept()
                threads.append(threading.Thread(target=_carry, args=(client, target)))
                threads[-1].start()

    accepting = threading.Thread(target=serve)
    accepting.start()
    try:
        yield {cluster_hostname("eu1", dev.domain): CLUSTER_ADDRESS}
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        accepting.join()
        for thread in threads:
            thread.join()


def _carry(client: socket.socket, target: int) -> None:
    with client, socket.create_connection(("127.0.0.1", target)) as server:
        back = threading.Thread(target=_pump, args=(server, client))
        back.start()
        _pump(client, server)
        back.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):  # the other side is gone
        while data := source.recv(65536):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


@contextmanager
def watching(redirected: Redirected) -> Iterator[list[str]]:
    """The topics the engineer sees, by the command the gateway's page gives."""
    seen: list[str] = []
    command = ["mosquitto_sub", "-h", "127.0.0.1", "-p", str(redirected.watch), "-t", "#", "-F", "%t"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines = process.stdout

    def read() -> None:
        while line := lines.readline():
            seen.append(line.strip())

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        yield seen
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)
        reader.join(PATIENCE_SECONDS)
        lines.close()


def policies(dev: World) -> list[str]:
    listed = dev.client("iot", "eu1").list_policies()["policies"]
    return [policy["policyName"] for policy in listed if "-gateway-" in policy["policyName"]]


def certificates(dev: World) -> set[str]:
    return {each["certificateId"] for each in dev.client("iot", "eu1").list_certificates()["certificates"]}


def test_a_device_comes_to_the_desk_its_data_goes_on_arriving_and_it_goes_home_by_itself(
    dev: World, tmp_path: Path
) -> None:
    device = parse_device_id("watched1")
    host, home = device_hostname(device, dev.domain), cluster_hostname("eu1", dev.domain)
    dev.make_device(device, "line-a")
    has_arrived(dev, device, deliver(dev, device))
    before = certificates(dev)

    redirected = redirect(dev, device, tmp_path / "gateway")
    assert (redirected.told["bridged_to"], redirected.told["returns_to"]) == ("eu1", "default")
    dev.until(lambda: dev.route(device) == host)
    with cluster_at_its_port(dev) as hosts, running(redirected.folder, redirected.port, hosts=hosts):
        with watching(redirected) as seen:
            events = deliver(dev, device, batches=2)
            assert events[-1]["server_name"] == host, "TLS in its own name, verified"
            dev.until(lambda: seen.count(batch_topic(device)) >= 2)
            has_arrived(dev, device, events)
            dev.client("iot-data", "eu1").publish(topic=command_topic(device, "go"), payload=b"1", qos=1)
            dev.until(lambda: command_topic(device, "go") in seen)

        # Another device of the fleet is turned away, though its identity is as good.
        dev.make_device("stranger1", "line-b")
        folder = dev.home / "devices" / "stranger1"
        files = Credentials(folder / CHAIN_FILE, folder / KEY_FILE, folder / TRUST_ANCHORS_FILE)
        with pytest.raises(ConnectionFailedError):
            connect(host, MQTT_TLS_PORT, files, client_id="stranger1", proxy=dev.proxy)

        # What the gateway shows is good for one name.
        anchors = dev.home / "devices" / device / TRUST_ANCHORS_FILE
        assert check_tls(host, MQTT_TLS_PORT, trust_anchors=anchors, proxy=dev.proxy)

    # Before its time a sweep leaves it; afterwards one takes it back, and what the gateway had with it.
    assert json.loads(fleet(dev, "sweep", *place(dev), "--json").stdout)["swept"] == []
    would = json.loads(fleet(dev, "sweep", *place(dev), "--dry-run", "--json", later="+5h").stdout)["swept"]
    assert [(row["device"], row["result"]) for row in would] == [
        (device, "would go home"),
        (device, "would be removed"),
    ]
    assert dev.route(device) == host, "it was only said"
    fleet(dev, "sweep", *place(dev), "--json", later="+5h")
    dev.until(lambda: dev.route(device) == home)
    assert policies(dev) == []
    assert certificates(dev) - before <= {dev.fingerprint("stranger1")}
    assert json.loads(fleet(dev, "sweep", *place(dev), "--json", later="+5h").stdout)["swept"] == []
    events = deliver(dev, device)
    assert events[-1]["server_name"] == home
    has_arrived(dev, device, events)


def test_a_gateways_identity_speaks_for_its_device_alone(dev: World, tmp_path: Path) -> None:
    device = parse_device_id("watched2")
    dev.make_device(device, "line-a")
    deliver(dev, device)
    folder = redirect(dev, device, tmp_path / "gateway").folder
    home = cluster_hostname("eu1", dev.domain)
    files = Credentials(folder / "bridge.pem", folder / "bridge.key.pem", dev.home / "trust-anchors.pem")

    def knock(client_id: str) -> Any:
        return connect(home, MQTT_TLS_PORT, files, client_id=client_id, proxy=dev.proxy)

    own = knock(gateway_client_id(device))
    own.publish(batch_topic(device), b"for the dead letters")
    own.close()
    for other in (device, "watched1", gateway_client_id(parse_device_id("watched1"))):
        with pytest.raises(ConnectionFailedError):
            knock(other)
    connection = knock(gateway_client_id(device))
    with pytest.raises(NotAcknowledgedError):
        connection.publish(batch_topic(parse_device_id("watched1")), b"in another's name")
    connection.close()
    connection = knock(gateway_client_id(device))
    with pytest.raises(NotAcknowledgedError):
        connection.subscribe("cmd/watched1/+")
    connection.close()

    ended = json.loads(fleet(dev, "debug", device, *place(dev), "--end", "--json").stdout)
    assert ended == {"device": device, "goes_to": "default", "gateway_removed_from": "eu1"}
    dev.until(lambda: dev.route(device) == home)
    assert gateway_policy_name("dev", device) not in policies(dev)
    with pytest.raises(ConnectionFailedError):
        knock(gateway_client_id(device))
    assert fleet(dev, "debug", device, *place(dev), "--end", code=2).stderr.startswith("fleet: device watched2")


def test_a_bridges_certificate_that_has_expired_opens_nothing_though_no_sweep_came(dev: World, tmp_path: Path) -> None:
    """The cluster itself holds the end of it: a lost laptop is worth nothing after the redirect."""
    device = parse_device_id("watched3")
    dev.make_device(device, "line-a")
    deliver(dev, device)
    redirected = redirect(dev, device, tmp_path / "gateway")
    key = read_device_key(redirected.folder / "bridge.key.pem")
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    moment = datetime.now(UTC).replace(microsecond=0)
    home, iot = cluster_hostname("eu1", dev.domain), dev.client("iot", "eu1")
    for minutes, is_let_in in ((+5, True), (-5, False)):
        validity = Validity(not_before=moment - timedelta(hours=2), not_after=moment + timedelta(minutes=minutes))
        found = bridge_certificate(device, key, validity=validity, new_serial=x509.random_serial_number)
        path = tmp_path / f"bridge{minutes}.pem"
        path.write_bytes(found.public_bytes(Encoding.PEM))
        registered = iot.register_certificate_without_ca(certificatePem=path.read_text("ascii"), status="ACTIVE")
        iot.attach_policy(policyName=gateway_policy_name("dev", device), target=registered["certificateArn"])
        files = Credentials(path, redirected.folder / "bridge.key.pem", dev.home / "trust-anchors.pem")
        if is_let_in:
            connect(home, MQTT_TLS_PORT, files, client_id=gateway_client_id(device), proxy=dev.proxy).close()
            continue
        with pytest.raises(ConnectionFailedError):
            connect(home, MQTT_TLS_PORT, files, client_id=gateway_client_id(device), proxy=dev.proxy)
    fleet(dev, "debug", device, *place(dev), "--end")
    assert policies(dev) == [], "whatever hung on the policy went with it"


def test_a_redirect_that_may_not_be_made_is_refused_and_leaves_nothing(dev: World, tmp_path: Path) -> None:
    device = "watched4"
    dev.make_device(device, "line-a")
    deliver(dev, device)
    for name, changed, said in (
        ("pinned", ("desk1", ()), "is pinned in the stack file"),
        ("unknown", ("nobody1", ()), "has never been in eu1"),
        ("long", (device, ("--for", "8d")), "--for: 8d is not between"),
        ("name", (device, ("--gateway", "desk.example.com")), "is no IP address"),
        ("cluster", (device, ("--gateway", "eu1")), "is no IP address"),
        ("elsewhere", (device, ("--cluster", "us1")), "belongs to eu1, not to us1"),
    ):
        which, more = changed
        folder = tmp_path / name
        refused = fleet(dev, *order(dev, which, folder, 8883, 18883, *more), code=2)
        assert said in refused.stderr, name
        assert (refused.stdout, folder.exists()) == ("", False)
    assert policies(dev) == []

    first = redirect(dev, device, tmp_path / "gateway")
    again = fleet(dev, *order(dev, device, tmp_path / "second", first.port, first.watch), code=2)
    assert f"is redirected to {ADDRESS} by firmware-team until" in again.stderr
    keys = (first.folder / "bridge.key.pem").read_bytes()
    longer = redirect(dev, device, first.folder, "--extend", "--for", "8h")
    assert longer.told["until"] > first.told["until"]
    assert longer.told["returns_to"] == "default", "home stays home, however often it is lengthened"
    assert (first.folder / "bridge.key.pem").read_bytes() == keys
    assert policies(dev) == [gateway_policy_name("dev", parse_device_id(device))]
    fleet(dev, "debug", device, *place(dev), "--end")
