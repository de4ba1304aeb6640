"""Certificate requests as devices, and attackers, make them."""

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

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
