"""What a certificate says of itself, apart from what AWS IoT says of it."""

import hashlib
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID


@dataclass(frozen=True, kw_only=True)
class CertificateFacts:
    """The facts an admission is decided on. Times are UTC."""

    fingerprint: str
    """SHA-256 of the DER, lower-case hex."""
    common_name: str | None
    """The subject's only common name; None where it has none or several."""
    not_before: datetime
    not_after: datetime


def read_certificate(pem: str) -> CertificateFacts:
    """The facts in a certificate's PEM; `ValueError` where it is none."""
    certificate = x509.load_pem_x509_certificate(pem.encode("ascii"))
    names = [str(attribute.value) for attribute in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    return CertificateFacts(
        fingerprint=hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest(),
        common_name=names[0] if len(names) == 1 else None,
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
    )
