"""CA certificates whose keys are forgotten at once: enough for a program that only reads them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

LIFE = timedelta(days=3650)


def write_authority(path: Path, common_name: str) -> None:
    """Put a self-signed CA certificate for `common_name` in `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(authority_pem(common_name, datetime.now(UTC) + LIFE), encoding="ascii")


def authority_pem(common_name: str, end: datetime) -> str:
    """A self-signed CA certificate for `common_name` that is valid until `end`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(end - 2 * LIFE)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(Encoding.PEM).decode("ascii")
