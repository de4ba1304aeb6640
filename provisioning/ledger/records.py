"""What the ledger holds, as values."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from cryptography import x509
from cryptography.x509.oid import NameOID

from protocol.admission import ManifestEntry, Standing
from protocol.device_id import DeviceId
from provisioning.der import sequence


class Step(StrEnum):
    """How far an issuance has come, in order; `docs/issuance.md` describes each."""

    RESERVED = "reserved"
    PREPARED = "prepared"
    SIGNED = "signed"
    DELIVERED = "delivered"
    REGISTERED = "registered"
    """In a cluster, ahead of the device's first connect. Just in time is the normal way, which nobody reports here."""
    PROVEN = "proven"
    """It connected as itself, and as nobody else, before its board left the station (`provisioning verify`)."""
    REVOKED = "revoked"
    RETIRED = "retired"
    """Ended in good order. Nobody accepts the certificate any more, as with `revoked`."""


ENDED = (Step.REVOKED, Step.RETIRED)
"""After one of these a device may have another identity, with another key."""


class Reason(StrEnum):
    """Why an identity is taken back: the reasons of RFC 5280, section 5.3.1, that fit a device."""

    UNSPECIFIED = "unspecified"
    KEY_COMPROMISE = "key-compromise"
    AFFILIATION_CHANGED = "affiliation-changed"
    SUPERSEDED = "superseded"
    CESSATION_OF_OPERATION = "cessation-of-operation"
    PRIVILEGE_WITHDRAWN = "privilege-withdrawn"


@dataclass(frozen=True, kw_only=True)
class Intent:
    """A certificate that somebody wants signed. Nothing may sign an intent; the ledger must hold it first."""

    device: DeviceId
    model: str
    authority: str
    key_hash: str
    """SHA-256 of the SubjectPublicKeyInfo in DER, lower-case hex."""
    serial: int
    not_before: datetime
    not_after: datetime
    to_be_signed: bytes


@dataclass(frozen=True, slots=True)
class Prepared:
    """The right to sign once: made by `Ledger.prepare` and `Ledger.find` alone, spent by `Ledger.record`."""

    issuance: int
    device: DeviceId
    to_be_signed: bytes


@dataclass(frozen=True, slots=True)
class Signed:
    """A certificate in DER that was made of a `Prepared`; nobody may have it before the ledger does."""

    prepared: Prepared
    der: bytes

    def tail(self) -> bytes | None:
        """What follows the prepared bytes in the certificate: algorithm and signature (RFC 5280, section 4.1).

        None when the certificate is not a certificate of exactly the prepared bytes.
        """
        prepared = self.prepared.to_be_signed
        start = self.der.find(prepared)
        tail = self.der[start + len(prepared) :]
        return tail if start > 0 and self.der == sequence(prepared, tail) else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """A certificate on record. Acknowledged means durable: whoever holds this may hand it out."""

    issuance: int
    device: DeviceId
    model: str
    authority: str
    serial: int
    not_after: datetime
    der: bytes
    is_revoked: bool = False
    """Or retired: nobody accepts it any more."""

    @property
    def certificate(self) -> x509.Certificate:
        """The certificate, parsed."""
        return x509.load_der_x509_certificate(self.der)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate: its id in AWS IoT and its key in the manifest."""
        return hashlib.sha256(self.der).hexdigest()

    @property
    def entry(self) -> ManifestEntry:
        """What the cloud is told of it."""
        return ManifestEntry(
            fingerprint=self.fingerprint,
            device=self.device,
            model=self.model,
            authority=self.authority,
            serial=f"{self.serial:x}",
            not_after=self.not_after,
            standing=Standing.REVOKED if self.is_revoked else Standing.GOOD,
            common_name=self._foreign_name(),
        )

    def _foreign_name(self) -> str:
        """What a vendor's certificate calls the device; empty for ours, which call it by its id."""
        names = self.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return "" if not names or names[0].value == self.device else str(names[0].value)


@dataclass(frozen=True, kw_only=True)
class Event:
    """One step of one issuance, with its time."""

    step: Step
    at: datetime
    note: str
    """Of an end, its reason and whoever ended it in their own words; of a registration, the cluster."""


@dataclass(frozen=True, kw_only=True)
class History:
    """Everything the ledger knows of one issuance."""

    device: DeviceId
    model: str
    authority: str
    serial: str
    not_after: datetime
    fingerprint: str | None
    """None until it is signed."""
    events: tuple[Event, ...]
    """In the order of `Step`."""
    uploaded: tuple[str, ...]
    """The manifests it is known to be in, with its standing there: `eu-west-1/flotilla-dev-manifest good`."""
