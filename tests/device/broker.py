"""A mosquitto on loopback: another broker than AWS's, with a device policy's access rules and a revocation list."""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from signal import SIGHUP

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from device.link import Credentials, Message
from device.resolution import HostPort
from protocol.bundle import BUNDLE_FILE, CHAIN_FILE, KEY_FILE, TRUST_ANCHORS_FILE, Bundle, Topics
from protocol.device_id import parse_device_id
from protocol.measurement import Row
from protocol.telemetry import decode_batch
from protocol.topics import batch_topic, command_filter
from tests.device.line import Line, connect
from tests.device.loopback import NOW, Authority, dns_server, tunnel_to

DOMAIN = "iot.example.com"
SERVER = f"eu1.clusters.{DOMAIN}"
START_SECONDS = 30.0

ACCESS = """\
pattern write dt/%u/#
pattern read cmd/%u/#
user listener
topic read dt/#
user listener2
topic write cmd/#
"""
"""The device policy in mosquitto's words: `%u` is the common name of the certificate that connected."""


@dataclass
class Broker:
    """A mosquitto that asks for certificates of `authority` and knows nothing of AWS."""

    port: int
    authority: Authority
    folder: Path
    process: "subprocess.Popen[bytes] | None" = None
    revoked: list[int] = field(default_factory=list)

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

    def connect(self, device: str, proxy: HostPort, messages: list[Message]) -> Line:
        folder = self.bundle(device)
        files = Credentials(folder / CHAIN_FILE, folder / KEY_FILE, folder / TRUST_ANCHORS_FILE)
        return connect(SERVER, 8883, files, client_id=device, proxy=proxy, on_message=messages.append)

    def start(self) -> None:
        with (self.folder / "log").open("a") as log:
            self.process = subprocess.Popen(
                ["/usr/sbin/mosquitto", "-c", str(self.folder / "mosquitto.conf")], stdout=log, stderr=log
            )
        self._wait()

    def kill(self) -> None:
        """As a power cut would."""
        assert self.process
        self.process.kill()
        self.process.wait(START_SECONDS)

    def revoke(self, device: str) -> None:
        """Put the device's certificate on the list; the broker reads it when it is told to."""
        chain = x509.load_pem_x509_certificates((self.folder / device / CHAIN_FILE).read_bytes())
        self.revoked.append(chain[0].serial_number)
        self.write_revocations()
        assert self.process
        self.process.send_signal(SIGHUP)

    def write_revocations(self, *, next_update: timedelta = timedelta(days=1)) -> None:
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.authority.certificate.subject)
            .last_update(NOW - timedelta(days=2))
            .next_update(NOW + next_update)
        )
        for serial in self.revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(NOW).build()
            builder = builder.add_revoked_certificate(entry)
        signed = builder.sign(self.authority.key, hashes.SHA256())
        (self.folder / "crl.pem").write_bytes(signed.public_bytes(Encoding.PEM))

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise TimeoutError((self.folder / "log").read_text())


@contextmanager
def mosquitto(folder: Path, *, has_revocations: bool = False) -> Iterator[Broker]:
    """A running one, which ends with the test. `has_revocations`: it asks a list whether a certificate still holds."""
    authority = Authority.make("Ours")
    certificate, key = authority.issue(folder, SERVER)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    broker = Broker(port, authority, folder)
    access = folder / "access"
    access.write_text(ACCESS)
    access.chmod(0o600)
    lines = [
        f"listener {port} 127.0.0.1",
        "user root",
        f"cafile {authority.write(folder / 'ca.pem')}",
        f"certfile {certificate}",
        f"keyfile {key}",
        "require_certificate true",
        "use_identity_as_username true",
        f"acl_file {access}",
    ]
    if has_revocations:
        broker.write_revocations()
        lines.append(f"crlfile {folder / 'crl.pem'}")
    (folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")
    broker.start()
    try:
        yield broker
    finally:
        if broker.process:
            broker.process.terminate()
            broker.process.wait(START_SECONDS)


@contextmanager
def network(broker: Broker, device: str) -> Iterator[tuple[HostPort, HostPort]]:
    """Resolver and proxy of a world in which the device's name leads to the broker."""
    with (
        dns_server(f"{device}.gw.{DOMAIN}. 60 IN CNAME {SERVER}.") as resolver,
        tunnel_to(broker.port) as (proxy, _asked),
    ):
        yield resolver, proxy


@contextmanager
def heard_by(broker: Broker, proxy: HostPort, device: str) -> Iterator[list[Message]]:
    """Everything that a device publishes."""
    heard: list[Message] = []
    listener = broker.connect("listener", proxy, heard)
    listener.subscribe(f"dt/{device}/#")
    try:
        yield heard
    finally:
        listener.close()


def folded(heard: list[Message]) -> dict[tuple[int, int], Row]:
    """Every row that came, by epoch and sequence; the same row twice is the same row."""
    rows: dict[tuple[int, int], Row] = {}
    for batch in (decode_batch(message.payload) for message in list(heard)):
        for row in batch.rows:
            assert rows.setdefault((batch.epoch, row.sequence), row) == row, "a number names one row for ever"
    return rows
