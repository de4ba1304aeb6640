"""Birth certificates at the rate of a line: everything that is the same for all of one issuer is encoded once.

A `BirthTemplate` splices device, key, serial number and validity between encoded parts; the bytes are those that
`profile.device_builder` gives (tests/provisioning/test_birth.py holds this over names, keys, dates and serials). It is
plain data, so that a worker process may have a copy; the signer stays where it is.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property, lru_cache
from typing import Self

from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.x509.oid import ExtensionOID

from protocol.device_id import DeviceId
from provisioning.algorithm import Algorithm, KeyType, PublicKey, public_key_der
from provisioning.alternative_name import AlternativeName
from provisioning.der import BOOLEAN_TRUE, OCTET_STRING, SEQUENCE, element, positive_integer, sequence
from provisioning.profile import DEVICE_USAGE, Validity, issuer_key_identifier
from provisioning.subject import subject_of

_VERSION_3 = bytes.fromhex("a003020102")
_EXTENSIONS = 0xA3
_UTC_TIME, _GENERALIZED_TIME = 0x17, 0x18
_KEY_OFFSETS = {KeyType.P256: 26, KeyType.P384: 23, KeyType.RSA_2048: 24}
"""Where, in a SubjectPublicKeyInfo, the octets of the key begin: what a subject key identifier is the SHA-1 of."""


@dataclass(frozen=True, kw_only=True)
class BirthProfile:
    """What one model's birth certificates have in common."""

    key_type: KeyType
    lifetime: timedelta
    alternative_name: AlternativeName | None = None


@dataclass(frozen=True, kw_only=True)
class BirthTemplate:
    """What the birth certificates of one issuer have in common, encoded."""

    authority: str
    """The issuer's name, as stack and factory file have it."""
    issuer_spki: bytes
    issuer_validity: Validity
    before_validity: bytes
    """Signature algorithm and issuer."""
    usage: bytes
    """Basic constraints, key usage and extended key usage."""
    issuer_identifier: bytes
    """The authority key identifier."""

    @classmethod
    def of(cls, authority: str, certificate: x509.Certificate) -> Self:
        """The template of an issuer."""
        public_key = certificate.public_key()
        if not isinstance(public_key, PublicKey):
            raise TypeError(f"an issuer has a key of a type of ours, and this one has {type(public_key).__name__}")
        return cls(
            authority=authority,
            issuer_spki=public_key_der(public_key),
            issuer_validity=Validity.of(certificate),
            before_validity=Algorithm.of(public_key).identifier + certificate.subject.public_bytes(),
            usage=b"".join(_extension(value, critical=critical) for value, critical in DEVICE_USAGE),
            issuer_identifier=_extension(issuer_key_identifier(certificate), critical=False),
        )

    def to_be_signed(
        self,
        *,
        device: DeviceId,
        key_type: KeyType,
        spki: bytes,
        validity: Validity,
        serial: int,
        alternative_name: AlternativeName | None,
    ) -> bytes:
        """The TBSCertificate in DER; `spki` is the device's key as `algorithm.public_key_der` gives it."""
        identifier = hashlib.sha1(spki[_KEY_OFFSETS[key_type] :], usedforsecurity=False).digest()
        if alternative_name is None:
            before_identifier, after_identifier = self._plain_extensions
            extensions = before_identifier + identifier + after_identifier
        else:
            names = element(SEQUENCE, _ALTERNATIVE_NAME + element(OCTET_STRING, sequence(alternative_name.der(device))))
            extensions = _extensions(_KEY_IDENTIFIER + identifier + self.usage + names + self.issuer_identifier)
        return element(
            SEQUENCE,
            _VERSION_3
            + positive_integer(serial)
            + self.before_validity
            + _validity(validity.not_before, validity.not_after)
            + subject_of(device)
            + spki
            + extensions,
        )

    @cached_property
    def _plain_extensions(self) -> tuple[bytes, bytes]:
        """What stands before and after the key identifier where there is no alternative name."""
        place = bytes(hashlib.sha1(usedforsecurity=False).digest_size)
        whole = _extensions(_KEY_IDENTIFIER + place + self.usage + self.issuer_identifier)
        after = self.usage + self.issuer_identifier
        return whole[: -len(place + after)], after


def _extensions(content: bytes) -> bytes:
    return element(_EXTENSIONS, element(SEQUENCE, content))


def _extension(value: x509.ExtensionType, *, critical: bool) -> bytes:
    content = asn1.encode_der(value.oid) + (BOOLEAN_TRUE if critical else b"")
    return element(SEQUENCE, content + element(OCTET_STRING, value.public_bytes()))


@lru_cache(maxsize=1024)
def _validity(not_before: datetime, not_after: datetime) -> bytes:
    """Cached: a second has many devices."""
    return element(SEQUENCE, _time(not_before) + _time(not_after))


def _time(moment: datetime) -> bytes:
    """RFC 5280, section 4.1.2.5: UTCTime through 2049, GeneralizedTime after."""
    if moment.year < 1950:
        raise ValueError(f"{moment} cannot stand in a certificate")
    if moment.year < 2050:
        return element(_UTC_TIME, f"{moment:%y%m%d%H%M%S}Z".encode("ascii"))
    return element(_GENERALIZED_TIME, f"{moment:%Y%m%d%H%M%S}Z".encode("ascii"))


_ALTERNATIVE_NAME = asn1.encode_der(ExtensionOID.SUBJECT_ALTERNATIVE_NAME)
_KEY_IDENTIFIER = bytes.fromhex("301d0603551d0e04160414")
"""The extension whose last 20 octets are the subject key identifier."""
