"""Throwaway authority and identities for a run: thousands a second, each device with a key of its own.

They protect nothing and prove nothing about the factory; who wants its identities issues them (`provisioning`) and
gives the folder.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from protocol.bundle import BUNDLE_FILE, CHAIN_FILE, KEY_FILE, TRUST_ANCHORS_FILE, Bundle, Topics
from protocol.device_id import DeviceId
from protocol.hostnames import device_hostname
from protocol.reconnect_place import reconnect_place
from protocol.topics import batch_topic, command_filter
from protocol.traffic import even_share, reconnect_window

LIFETIME = timedelta(days=2)
"""No run lasts that long."""
SKEW = timedelta(days=1)
"""Valid since then, so that a clock that is a little wrong refuses nothing."""
MODEL = "simulated"
KEEP_ALIVE = timedelta(seconds=60)
SESSION_EXPIRY = timedelta(seconds=120)
"""Short, so that a scenario of some minutes sees both run out."""


@dataclass(frozen=True)
class Authority:
    """Signs whatever it is asked to, until it is forgotten."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def make(cls, now: datetime, common_name: str = "Flotilla simulation") -> "Authority":
        """A new one."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_name(common_name), _name(common_name), key, now)
        basic = x509.BasicConstraints(ca=True, path_length=0)
        return cls(key, builder.add_extension(basic, critical=True).sign(key, hashes.SHA256()))

    def issue(self, name: str, now: datetime) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        """Key and certificate of a device, or of a server, of that name."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_name(name), self.certificate.subject, key, now)
        names = x509.SubjectAlternativeName([x509.DNSName(name)])
        return key, builder.add_extension(names, critical=False).sign(self.key, hashes.SHA256())

    def write(self, path: Path) -> Path:
        """Its certificate, for whoever must trust it."""
        path.write_bytes(self.certificate.public_bytes(Encoding.PEM))
        return path


Issue = Callable[[str, datetime], tuple[ec.EllipticCurvePrivateKey, x509.Certificate]]
"""What makes an identity; `Authority.issue`, or a test's own."""


def make_devices(
    folder: Path,
    devices: list[DeviceId],
    issue: Issue,
    *,
    anchors: Path,
    domain: str,
    reconnect_window: timedelta,
    now: datetime,
) -> Iterator[Path]:
    """The folder of each device, with a bundle as the factory writes it; `anchors` is what they trust, all of them."""
    for number, device in enumerate(devices):
        path = folder / device
        path.mkdir(parents=True)
        bundle = Bundle(
            device=device,
            model=MODEL,
            domain=domain,
            hostname=device_hostname(device, domain),
            topics=Topics(batch=batch_topic(device), commands=command_filter(device)),
            reconnect_window_seconds=int(reconnect_window.total_seconds()),
            reconnect_place=reconnect_place(number, MODEL),
            keep_alive_seconds=int(KEEP_ALIVE.total_seconds()),
            session_expiry_seconds=int(SESSION_EXPIRY.total_seconds()),
        )
        (path / BUNDLE_FILE).write_text(bundle.model_dump_json(), encoding="utf-8")
        renew(path, device, issue, now=now)
        (path / TRUST_ANCHORS_FILE).symlink_to(anchors.resolve())
        yield path


def window_of(devices: int, connects_per_second: int) -> timedelta:
    """How wide a fleet spreads its return whose devices all have a place, as those made here."""
    return reconnect_window(devices, connects_per_second, even=even_share(unplaced=0.0))


def renew(folder: Path, device: DeviceId, issue: Issue, *, now: datetime) -> x509.Certificate:
    """A new key and certificate in the folder of a device, in place of the old."""
    key, certificate = issue(device, now)
    chain, private = folder / CHAIN_FILE, folder / KEY_FILE
    private.unlink(missing_ok=True)
    private.touch(mode=0o600)
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    chain.write_bytes(certificate.public_bytes(Encoding.PEM))
    return certificate


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + LIFETIME)
    )
