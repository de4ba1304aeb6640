"""The roots a device accepts for servers: Amazon Trust Services, under which AWS IoT endpoints and ACM stand."""

import warnings
from functools import cache
from pathlib import Path

import certifi
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import NameOID

from provisioning.errors import RefusedError, StationError

AMAZON_ROOTS = (
    "Amazon Root CA 1",
    "Amazon Root CA 2",
    "Amazon Root CA 3",
    "Amazon Root CA 4",
    "Starfield Services Root Certificate Authority - G2",
)
"""AWS IoT Core developer guide, "Server authentication": the CA certificates a device should carry."""


@cache
def amazon_trust_anchors() -> bytes:
    """The roots in PEM, as Mozilla's program (certifi) has them."""
    bundled = _certificates(Path(certifi.where()).read_bytes())
    by_name = {_common_name(certificate): certificate for certificate in bundled}
    missing = [name for name in AMAZON_ROOTS if name not in by_name]
    if missing:
        raise StationError(f"certifi no longer holds {', '.join(missing)}; give --trust-anchors FILE")
    return b"".join(by_name[name].public_bytes(Encoding.PEM) for name in AMAZON_ROOTS)


def read_trust_anchors(path: Path) -> bytes:
    """The certificates in the PEM file `path`, and nothing else of it."""
    try:
        certificates = _certificates(path.read_bytes())
    except (OSError, ValueError, x509.InvalidVersion) as error:
        raise RefusedError(
            f"{path}: holds no certificates in PEM ({error}); give a file of root certificates"
        ) from error
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)


def _certificates(pem: bytes) -> list[x509.Certificate]:
    with warnings.catch_warnings():
        # Old roots have serial numbers that today's rules refuse; Starfield's, one of Amazon's, has 0.
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        return x509.load_pem_x509_certificates(pem)


def _common_name(certificate: x509.Certificate) -> str:
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else ""
