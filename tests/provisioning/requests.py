"""Certificate requests as devices, and attackers, make them."""

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtensionOID, NameOID

SHA256 = hashes.SHA256()


def p256() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def rsa_key(bits: int, exponent: int = 65537) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(exponent, bits)


def name(**attributes: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(getattr(NameOID, key), value) for key, value in attributes.items()])


def csr(
    key: CertificateIssuerPrivateKeyTypes,
    subject: x509.Name | None = None,
    extensions: tuple[x509.ExtensionType, ...] = (),
    algorithm: hashes.SHA256 | hashes.SHA224 | None = SHA256,
) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject or x509.Name([]))
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    return builder.sign(key, algorithm).public_bytes(Encoding.PEM)


def with_unreadable_extension() -> x509.Certificate:
    """A certificate whose alternative name is cut off."""
    key, subject, begins = p256(), name(COMMON_NAME="Line A"), datetime(2026, 1, 1, tzinfo=UTC)
    return (
        x509.CertificateBuilder(subject, subject, key.public_key(), 1, begins, begins + timedelta(days=9))
        .add_extension(x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, b"\x30\x03"), critical=False)
        .sign(key, SHA256)
    )


def with_unknown_key(certificate: x509.Certificate) -> x509.Certificate:
    """The certificate of an EC key as if its key were of a kind that nobody knows."""
    known = bytes.fromhex("06072a8648ce3d0201")  # id-ecPublicKey (RFC 5480, section 2.1.1)
    strange = known[:-1] + b"\x7f"
    return x509.load_der_x509_certificate(certificate.public_bytes(Encoding.DER).replace(known, strange))
