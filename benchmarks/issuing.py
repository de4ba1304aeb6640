"""Issuing against OpenSSL's own limit for the same work, and beside what other programs make of the same requests.

Without a ledger nothing waits for a disk, so both sides are counted in seconds of the processor, as `openssl speed`
does: another process on the machine slows neither. With it, and beside other programs, the clock on the wall counts.
"""

import re
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from benchmarks import peers
from benchmarks.measure import ROUNDS, Clock, Result, compared, rate
from protocol.device_id import parse_device_id
from provisioning.algorithm import KeyType, PrivateKey
from provisioning.authority import IssuingAuthority
from provisioning.birth import BirthProfile
from provisioning.certify import certify, pem_of, signed, to_be_signed
from provisioning.draft import draft
from provisioning.file_signer import FileSigner
from provisioning.issue import issue
from provisioning.ledger.ledger import Ledger
from provisioning.profile import Validity, authority_name, root_builder, years
from provisioning.request import Request
from provisioning.serials import serials_of

CERTIFICATES = 300
"""A round takes a fraction of a second, and the ledger stays small."""
GROUP = 100
"""Of a bulk order: reserved together, then signed (docs/issuance.md)."""
ENCRYPTED = 30
"""Keys: encrypting one is slow on purpose."""
PROFILE = BirthProfile(key_type=KeyType.P256, lifetime=years(15))
REQUEST_LIMIT = "OpenSSL: one verify and one sign"
GENERATED_LIMIT = "OpenSSL: one key and one sign"
UNIT = "certificates/s"
P256 = KeyType.P256


@dataclass(frozen=True, kw_only=True)
class Limit:
    """What one core of OpenSSL does a second of its time, P-256."""

    signs: float
    verifies: float
    generates: float

    @property
    def of_requests(self) -> float:
        """Verifications followed by signatures."""
        return 1 / (1 / self.verifies + 1 / self.signs)

    @property
    def of_generated(self) -> float:
        """Keys followed by signatures."""
        return 1 / (1 / self.generates + 1 / self.signs)


def results(clock: Clock, cpu: Clock = time.process_time) -> Iterator[Result]:
    """Certificates a second: from a CSR and with a new key, in memory and with the durable ledger, ours and others'."""
    now, work = datetime.now(UTC), Work.made(datetime.now(UTC))
    limits, from_requests, generated = [], [], []
    for _ in range(ROUNDS):
        limits.append(openssl_limit(cpu))
        from_requests.append(rate(work.from_requests, cpu, rounds=1))
        generated.append(rate(work.generated, cpu, rounds=1))
    # The best of each: what a busy machine takes away is taken from either side by chance.
    requests, keys = max(each.of_requests for each in limits), max(each.of_generated for each in limits)
    yield compared("issue, no ledger", max(from_requests), UNIT, limit=requests, against=REQUEST_LIMIT)
    yield compared("issue, key generated", max(generated), UNIT, limit=keys, against=GENERATED_LIMIT)
    encrypted = rate(work.encrypted_keys, cpu)
    yield compared("encrypt a key", encrypted, "keys/s", limit=keys, against=GENERATED_LIMIT)
    with tempfile.TemporaryDirectory() as folder:
        durable = rate(lambda: work.issued_durably(Path(folder), now), clock)
    yield compared("issue, durable ledger", durable, UNIT, limit=requests, against=REQUEST_LIMIT)
    with tempfile.TemporaryDirectory() as folder:
        ours = peers.Ours(from_requests=rate(work.from_requests, clock), generated=rate(work.generated, clock))
        yield from peers.results(work.line(Path(folder)), ours, clock)


def openssl_limit(cpu: Clock) -> Limit:
    """What `openssl speed` says of signing and verifying; it has no test of making keys, so the library's is asked."""
    command = ["openssl", "speed", "-seconds", "1", "ecdsap256"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    signs, verifies = parse_speed(told)

    def generate() -> int:
        for _ in range(CERTIFICATES):
            ec.generate_private_key(ec.SECP256R1())
        return CERTIFICATES

    return Limit(signs=signs, verifies=verifies, generates=rate(generate, cpu))


def parse_speed(told: str) -> tuple[float, float]:
    """Signs and verifies a second, from the last line of `openssl speed`: seconds a sign, seconds a verify, the two."""
    found = re.search(r"ecdsa \(nistp256\)\s+\S+\s+\S+\s+([\d.]+)\s+([\d.]+)", told)
    if found is None:
        raise ValueError(f"openssl speed told nothing of ecdsap256: {told!r}")
    return float(found[1]), float(found[2])


@dataclass(frozen=True, kw_only=True)
class Work:
    """An authority and devices' requests, the same in every round."""

    authority: IssuingAuthority
    key: ec.EllipticCurvePrivateKey
    """The authority's."""
    requests: tuple[tuple[str, bytes], ...]
    now: datetime

    @classmethod
    def made(cls, now: datetime) -> "Work":
        """A new authority, and `CERTIFICATES` requests."""
        key = ec.generate_private_key(ec.SECP256R1())
        requests = tuple(request_of(f"device{index}") for index in range(CERTIFICATES))
        return cls(authority=authority_of(key, now), key=key, requests=requests, now=now)

    def from_requests(self) -> int:
        """From a CSR in PEM, checked, to a certificate in PEM."""
        for group in _groups(self.requests):
            self.certificates([checked(name, pem) for name, pem in group])
        return len(self.requests)

    def generated(self) -> int:
        """A new key in PEM, and its certificate in PEM."""
        for group in _groups(self.requests):
            keys = [P256.generate() for _ in group]
            self.certificates([_asked(name, key) for (name, _), key in zip(group, keys, strict=True)])
            for key in keys:
                key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return len(self.requests)

    def certificates(self, requests: Sequence[Request]) -> list[bytes]:
        """In PEM, of requests that are checked."""
        template, signer, new_serial = self.authority.template, self.authority.signer, serials_of("0a")
        intents = [draft(each, template, profile=PROFILE, now=self.now, serial=new_serial()) for each in requests]
        return [pem_of(signed(intent.to_be_signed, signer)) for intent in intents]

    def encrypted_keys(self) -> int:
        """Keys in PEM, encrypted as the library does by default."""
        for _ in range(ENCRYPTED):
            self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"benchmark"))
        return ENCRYPTED

    def issued_durably(self, folder: Path, now: datetime) -> int:
        """As `from_requests`, one device after the other, each on the disk before it is handed out."""
        place = Path(tempfile.mkdtemp(dir=folder))
        with Ledger.open(place, "dev", create=True) as ledger:
            for name, pem in self.requests:
                identity = issue(
                    checked(name, pem),
                    self.authority,
                    ledger,
                    profile=PROFILE,
                    clock=lambda: now,
                    new_serial=serials_of("0a"),
                )
                identity.certificate.public_bytes(Encoding.PEM)
        return len(self.requests)

    def line(self, folder: Path) -> peers.Line:
        """The same for other programs."""
        (folder / "ca.pem").write_bytes(self.authority.certificate.public_bytes(Encoding.PEM))
        key = self.key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        (folder / "ca.key.pem").write_bytes(key)
        return peers.Line(folder, [pem for _, pem in self.requests])


def _groups(requests: Sequence[tuple[str, bytes]]) -> Iterator[Sequence[tuple[str, bytes]]]:
    """As many at a time as the ledger commits at once: so each step finds its own tables in the processor's cache."""
    return (requests[at : at + GROUP] for at in range(0, len(requests), GROUP))


def _asked(name: str, key: PrivateKey) -> Request:
    device = parse_device_id(name)
    return Request.of_key(key.public_key(), device=device, model="fl100", authority="line-a", key_type=P256)


def authority_of(key: ec.EllipticCurvePrivateKey, now: datetime) -> IssuingAuthority:
    """An authority with this key."""
    signer = FileSigner(key)
    builder = root_builder(
        name=authority_name("Benchmark CA", "Flotilla"),
        public_key=signer.public_key(),
        validity=Validity.lasting(years(20), now=now),
        serial=x509.random_serial_number(),
    )
    certificate = certify(to_be_signed(builder), signer)
    return IssuingAuthority.ready(name="line-a", certificate=certificate, signer=signer, root=None, now=now)


def request_of(name: str) -> tuple[str, bytes]:
    """A device and its CSR in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    csr = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return name, csr.public_bytes(Encoding.PEM)


def checked(name: str, pem: bytes) -> Request:
    """The request of a device, checked."""
    return Request.from_csr(pem, device=parse_device_id(name), model="fl100", authority="line-a", key_type=P256)
