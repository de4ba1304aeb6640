"""A throwaway CA and device certificates of any name, age and standing, for the tests of the registrar."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from protocol.admission import ManifestEntry, Standing
from protocol.device_id import parse_device_id

NOW = datetime.now(UTC).replace(microsecond=0)
YEAR = timedelta(days=365)


@dataclass(frozen=True)
class Identity:
    """A device certificate with its key, and what the factory would say of it."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    entry: ManifestEntry

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    @property
    def fingerprint(self) -> str:
        return self.entry.fingerprint


class Authority:
    """A CA that signs whatever it is asked to."""

    def __init__(self, common_name: str = "Throwaway CA") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(common_name)
        self.certificate = (
            _builder(self._name, self._name, self._key, NOW - YEAR, NOW + 10 * YEAR)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self._key, hashes.SHA256())
        )

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    def issue(
        self,
        device: str,
        *names: str,
        model: str = "fl100",
        not_before: datetime = NOW - YEAR,
        not_after: datetime = NOW + YEAR,
    ) -> Identity:
        """A certificate of `device`. `names`: the subject's common names, where they are not just the device's."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(*(names or (device,)))
        certificate = _builder(subject, self._name, key, not_before, not_after).sign(self._key, hashes.SHA256())
        entry = ManifestEntry(
            fingerprint=hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest(),
            device=parse_device_id(device),
            model=model,
            authority="line-a",
            serial=f"{certificate.serial_number:x}",
            not_after=not_after,
            standing=Standing.GOOD,
        )
        return Identity(key, certificate, entry)


def _name(*common_names: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in common_names])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, not_before: datetime, not_after: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_after)
    )
