"""An issuing authority ready to sign: its certificate and its signer, which belong together."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from provisioning.algorithm import PublicKey
from provisioning.birth import BirthTemplate
from provisioning.errors import RefusedError, StationError
from provisioning.signer import Signer


@dataclass(frozen=True, kw_only=True)
class IssuingAuthority:
    """Its existence proves that the certificate is of the signer's key, of the factory's root, and valid now."""

    name: str
    certificate: x509.Certificate
    signer: Signer
    template: BirthTemplate
    """What its birth certificates have in common."""

    @classmethod
    def ready(
        cls, *, name: str, certificate: x509.Certificate, signer: Signer, root: x509.Certificate | None, now: datetime
    ) -> Self:
        """The authority; `root` is checked where this station has it."""
        if not is_of_key(certificate, signer.public_key()):
            raise StationError(
                f"authority {name}: its certificate belongs to another key than its signer's; "
                f"restore the certificate that the ceremony wrote for this key"
            )
        if root is not None and not is_issued_by(certificate, root):
            raise StationError(f"authority {name}: its certificate was not issued by this factory's root; restore it")
        if now < certificate.not_valid_before_utc:
            raise StationError(
                f"authority {name}: is valid from {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC, and the clock "
                f"says {now:%Y-%m-%d %H:%M}; set this station's clock"
            )
        if now > certificate.not_valid_after_utc:
            raise RefusedError(
                f"authority {name}: expired on {certificate.not_valid_after_utc:%Y-%m-%d}; issue with its successor"
            )
        return cls(name=name, certificate=certificate, signer=signer, template=BirthTemplate.of(name, certificate))


def read_certificate(path: Path) -> x509.Certificate | None:
    """The one certificate in a PEM file; None when there is no such file."""
    try:
        certificates = x509.load_pem_x509_certificates(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, x509.InvalidVersion) as error:
        raise StationError(f"{path}: is no readable certificate ({error}); restore it") from error
    if len(certificates) != 1:
        raise StationError(f"{path}: holds {len(certificates)} certificates instead of one; restore it")
    return certificates[0]


def is_of_key(certificate: x509.Certificate, public_key: PublicKey) -> bool:
    """Whether a certificate is of that key; one of a kind that nobody knows is another."""
    try:
        return certificate.public_key() == public_key
    except (ValueError, UnsupportedAlgorithm):
        return False


def is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether names and signature say so."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
