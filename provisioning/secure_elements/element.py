"""One secure element, as its vendor's file describes it, and what is wrong with an entry that describes none."""

from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm


@dataclass(frozen=True, kw_only=True)
class Element:
    """An element with its certificate. That the certificate is good is checked by `check`, not by being here."""

    place: str
    """Where in the file: `entry 3`, `line 12`, the name of a file in an archive."""
    serial: str
    """What the vendor calls it: lower-case letters, digits and hyphens, unique for this vendor."""
    part: str
    """The vendor's part number; empty where the file does not say."""
    certificate: x509.Certificate


@dataclass(frozen=True)
class Defect:
    """Why an entry cannot be used."""

    place: str
    rule: str
    """What is wrong, and the way out."""


def certificate_in(data: bytes) -> x509.Certificate:
    """The certificate in DER or PEM; `ValueError` for everything that is none, or has a key of no kind we know."""
    is_pem = data.lstrip().startswith(b"-----")
    try:
        certificate = x509.load_pem_x509_certificate(data) if is_pem else x509.load_der_x509_certificate(data)
        certificate.public_key()
    except (ValueError, x509.InvalidVersion, UnsupportedAlgorithm) as error:
        raise ValueError(f"its certificate cannot be read ({error})") from error
    return certificate
