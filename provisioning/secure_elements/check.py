"""Whether a certificate that a vendor made may be a device's identity.

`provisioning.certificate_check` judges certificates that were made for us. Vendors keep fewer rules: Microchip's
outlive their signer, Infineon's have serial numbers of 32 bits, Espressif's have no key identifiers, and none says that
it is for clients alone. What a device's safety rests on is asked all the same.
"""

from collections.abc import Mapping
from datetime import datetime

from asn1crypto.x509 import Certificate
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

from provisioning.algorithm import KeyType
from provisioning.authority import is_issued_by
from provisioning.errors import RefusedError
from provisioning.request import check_key, check_spelling

MIN_SERIAL = 1
MAX_SERIAL_BITS = 159
"""RFC 5280, section 4.1.2.2: positive, at most 20 octets."""

_KNOWN = frozenset({"basic_constraints", "key_usage", "extended_key_usage", "subject_alt_name", "certificate_policies"})
"""Extensions that may be critical: what they say is checked here, or changes nothing for a client."""


def authority_of(certificate: x509.Certificate, authorities: Mapping[str, x509.Certificate], now: datetime) -> str:
    """Which of the vendor's authorities signed the certificate; `ValueError` says which rule it breaks."""
    try:
        _check_itself(certificate, now)
    except (UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise ValueError(f"its certificate cannot be used ({error})") from error
    for name, issuer in authorities.items():
        if is_issued_by(certificate, issuer):
            return name
    raise ValueError(
        f"its issuer is {certificate.issuer.rfc4514_string()!r}, whose signature is that of no --authority; give the "
        f"vendor's authority with that name and key"
    )


def _check_itself(certificate: x509.Certificate, now: datetime) -> None:
    if certificate.version is not x509.Version.v3:
        raise ValueError("its certificate is of X.509 version 1, which AWS IoT does not take; ask for version 3")
    key_type = KeyType.of(certificate.public_key())
    if key_type is None:
        raise ValueError(f"its key is none of {', '.join(KeyType)}; order parts with one of these")
    try:
        check_spelling(check_key(certificate.public_key(), key_type), certificate.tbs_certificate_bytes)
    except RefusedError as error:
        raise ValueError(str(error).replace("the request's", "its", 1)) from error
    if not 0 < certificate.serial_number.bit_length() <= MAX_SERIAL_BITS or certificate.serial_number < MIN_SERIAL:
        raise ValueError("its certificate's serial number is not positive and of at most 20 octets (RFC 5280)")
    if now < certificate.not_valid_before_utc:
        raise ValueError(f"its certificate is valid from {certificate.not_valid_before_utc:%Y-%m-%d} only")
    if now > certificate.not_valid_after_utc:
        raise ValueError(f"its certificate ended on {certificate.not_valid_after_utc:%Y-%m-%d}")
    _check_extensions(certificate.public_bytes(Encoding.DER))


def _check_extensions(der: bytes) -> None:
    """Read by `asn1crypto`, because `cryptography` gives up on every extension of Microchip's certificates.

    Their alternative name calls the chip `eui48_…`, and an underscore is no PrintableString (X.680, section 41.4).
    """
    try:
        certificate = Certificate.load(der, strict=True)
        constraints = certificate.basic_constraints_value
        usage = certificate.key_usage_value
        purposes = certificate.extended_key_usage_value
        found = [
            (each["extn_id"].native, bool(each["critical"].native))
            for each in certificate["tbs_certificate"]["extensions"]
        ]
        unknown = {name for name, is_critical in found if is_critical} - _KNOWN
        is_authority = constraints is not None and constraints["ca"].native
        signs = usage is None or "digital_signature" in usage.native
        is_client = purposes is None or bool({"client_auth", "any_extended_key_usage"} & set(purposes.native))
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"its certificate's extensions cannot be read ({error})") from error
    if len({name for name, _ in found}) != len(found):
        raise ValueError("its certificate has one extension twice (RFC 5280, section 4.2)")
    if is_authority:
        raise ValueError("its certificate is an authority's, and a device that can sign devices is none")
    if not signs:
        raise ValueError("its key may not sign, so TLS cannot use it (key usage without digitalSignature)")
    if not is_client:
        raise ValueError("its certificate is not for clients (extended key usage without clientAuth)")
    if unknown:
        raise ValueError(f"its certificate has a critical extension that nobody here knows ({', '.join(unknown)})")
