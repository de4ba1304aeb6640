"""The desk's own CA, and the server certificates its cells show to devices.

MiniStack presents the certificate it finds in its saved state, if the CA saved with it signed it and it carries every
name MiniStack wants. So the desk makes one CA for all its cells, and for each cell a certificate that also names the
clusters. Devices on the desk trust `trust-anchors.pem`, as devices in the field trust Amazon's roots.
"""

import ipaddress
import socket
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from local.write_file import write_file
from protocol.hostnames import CLUSTER_ZONE_LABEL

KEY_FILE = "cell-authority.key"
TRUST_ANCHORS_FILE = "trust-anchors.pem"
LIFETIME = timedelta(days=365)
"""Of the CA and all it signs: a desk is made anew long before."""
RENEWAL = timedelta(days=30)
"""A CA with less left is replaced at the next start."""
CLOCK_SKEW = timedelta(hours=1)
"""How far a clock on this desk may be behind the one that signed."""
_PUBLIC_FILE = 0o644


@dataclass(frozen=True)
class CellAuthority:
    """The desk's CA."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def certificate_pem(self) -> str:
        """What devices trust."""
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        """What signs; stays in the home."""
        return key_pem(self.key)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate, in hexadecimal."""
        return self.certificate.fingerprint(hashes.SHA256()).hex()


def key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    """A private key as unencrypted PKCS#8, the form MiniStack reads."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def open_authority(home: Path, now: datetime) -> CellAuthority:
    """The CA of a desk's home; made there if there is none, or none that will last."""
    return _read_authority(home, now) or _make_authority(home, now)


def _read_authority(home: Path, now: datetime) -> CellAuthority | None:
    try:
        key = serialization.load_pem_private_key((home / KEY_FILE).read_bytes(), password=None)
        certificate = x509.load_pem_x509_certificate((home / TRUST_ANCHORS_FILE).read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        return None
    return CellAuthority(certificate, key) if certificate.not_valid_after_utc - now > RENEWAL else None


def _make_authority(home: Path, now: datetime) -> CellAuthority:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Flotilla desk cells")])
    certificate = (
        _builder(name, name, key.public_key(), now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    authority = CellAuthority(certificate, key)
    write_file(home / KEY_FILE, authority.key_pem)
    write_file(home / TRUST_ANCHORS_FILE, authority.certificate_pem, mode=_PUBLIC_FILE)
    return authority


def issue_server_certificate(authority: CellAuthority, *, region: str, domain: str, now: datetime) -> tuple[str, str]:
    """A certificate and its key, both PEM, for the cell of one region."""
    names = (f"*.{CLUSTER_ZONE_LABEL}.{domain}", f"*.iot.{region}.localhost", "localhost", socket.gethostname())
    addresses = ("127.0.0.1", "::1")
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Flotilla cell {region}")])
    certificate = (
        _builder(
            subject, authority.certificate.subject, key.public_key(), now, authority.certificate.not_valid_after_utc
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.SubjectAlternativeName(
                [*(x509.DNSName(name) for name in dict.fromkeys(names))]
                + [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
            ),
            critical=False,
        )
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False)
        .sign(authority.key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode(), key_pem(key)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    now: datetime,
    not_after: datetime | None = None,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(not_after or now + LIFETIME)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
