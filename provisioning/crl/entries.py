"""Entries of a revocation list as bytes: a million of them in about a second, and the library's own bytes.

The library's builder copies its list at every entry. Here each entry is put together from its serial number and an
ending (time, reason) that many entries share; a property test holds that the bytes are the builder's.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat import asn1

from provisioning.der import INTEGER, SEQUENCE, element, sequence
from provisioning.ledger.records import Reason

FIRST_GENERALIZED_YEAR = 2050
"""RFC 5280, section 5.1.2.6: dates through 2049 are UTCTime, later ones GeneralizedTime."""
MAX_SERIAL_BYTES = 20
"""RFC 5280, section 5.1.2.6 and 4.1.2.2."""

_FLAGS: Mapping[Reason, x509.ReasonFlags | None] = {
    Reason.UNSPECIFIED: None,  # RFC 5280, section 5.3.1: then the extension should be absent
    Reason.KEY_COMPROMISE: x509.ReasonFlags.key_compromise,
    Reason.AFFILIATION_CHANGED: x509.ReasonFlags.affiliation_changed,
    Reason.SUPERSEDED: x509.ReasonFlags.superseded,
    Reason.CESSATION_OF_OPERATION: x509.ReasonFlags.cessation_of_operation,
    Reason.PRIVILEGE_WITHDRAWN: x509.ReasonFlags.privilege_withdrawn,
}
_UTC_TIME, _GENERALIZED_TIME = 0x17, 0x18
_KEPT_ENDINGS = 4096
"""A batch of revocations shares a second; thousands of them in memory are half a megabyte."""


class Revoked(NamedTuple):
    """One certificate on a list. Times have a zone; whole seconds count."""

    serial: int
    at: datetime
    """When it was taken back."""
    reason: Reason
    invalid_since: datetime | None = None
    """From when on its key must not be trusted, where that is known to be earlier (section 5.3.2)."""


def encode_entries(entries: Iterable[Revoked]) -> Iterator[bytes]:
    """Each entry in DER, in the order given; `ValueError` for a serial number that no certificate can have."""
    for serial, at, reason, invalid_since in entries:
        length = serial.bit_length() // 8 + 1
        if not (serial > 0 and length <= MAX_SERIAL_BYTES):
            raise ValueError(f"serial {serial} is no positive number of at most {MAX_SERIAL_BYTES} bytes")
        ending = _ending(at, reason, invalid_since)
        # All lengths here are below 128, so each is one byte.
        yield bytes((SEQUENCE, 2 + length + len(ending), INTEGER, length)) + serial.to_bytes(length, "big") + ending


@lru_cache(maxsize=_KEPT_ENDINGS)
def _ending(at: datetime, reason: Reason, invalid_since: datetime | None) -> bytes:
    return _time(at) + _extensions(reason, invalid_since)


@lru_cache(maxsize=_KEPT_ENDINGS)
def _extensions(reason: Reason, invalid_since: datetime | None) -> bytes:
    values: list[x509.CRLReason | x509.InvalidityDate] = []
    if (flag := _FLAGS[reason]) is not None:
        values.append(x509.CRLReason(flag))
    if invalid_since is not None:
        values.append(x509.InvalidityDate(invalid_since.astimezone(UTC).replace(tzinfo=None)))
    if not values:
        return b""
    encoded = (asn1.encode_der(_Extension(oid=each.oid, value=each.public_bytes())) for each in values)
    return sequence(*encoded)


@asn1.sequence
class _Extension:
    """RFC 5280, section 4.1, never critical here."""

    oid: x509.ObjectIdentifier
    value: bytes


def _time(at: datetime) -> bytes:
    utc = at.astimezone(UTC)
    if utc.year < FIRST_GENERALIZED_YEAR:
        return element(_UTC_TIME, f"{utc:%y%m%d%H%M%SZ}".encode("ascii"))
    return element(_GENERALIZED_TIME, f"{utc:%Y%m%d%H%M%SZ}".encode("ascii"))
