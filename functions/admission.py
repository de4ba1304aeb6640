"""Whether a certificate that just knocked is admitted (design decision 6): a pure decision over facts.

Admission rests on the manifest alone: a certificate that the factory did not list is refused, whoever signed it. The
thing a certificate joins must be its own: of the device's name and model, and holding no certificate that still stands.
One device has one identity: a second one, such as another station's whose ledger does not know the first, is admitted
when the first has been ended in the manifest and detached, or has expired. A rotation does just that: `sync` ends the
old identity before it lists the new one. A thing that holds a revoked certificate, or one that someone else put there,
is not joined until that is detached. Authority and serial number on the thing are those of its first identity: later
ones come and go.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from functions.certificate import CertificateFacts
from protocol.admission import ManifestEntry, Standing

PENDING: Final = "PENDING_ACTIVATION"
"""The AWS IoT status of a certificate that just-in-time registration took in; the only one admitted from."""
ACTIVE: Final = "ACTIVE"


class Reason(StrEnum):
    """Why a certificate stays out; also a metric dimension, so the list is short and stable."""

    NOT_PENDING = "not-pending"
    UNREADABLE_CERTIFICATE = "unreadable-certificate"
    WRONG_FINGERPRINT = "wrong-fingerprint"
    NOT_IN_MANIFEST = "not-in-manifest"
    UNREADABLE_MANIFEST = "unreadable-manifest"
    REVOKED = "revoked"
    WRONG_NAME = "wrong-name"
    NOT_YET_VALID = "not-yet-valid"
    EXPIRED = "expired"
    UNKNOWN_MODEL = "unknown-model"
    THING_CONFLICT = "thing-conflict"
    OTHER_CERTIFICATE = "other-certificate"
    SECOND_IDENTITY = "second-identity"


@dataclass(frozen=True, kw_only=True)
class Registered:
    """The certificate as AWS IoT knows it."""

    certificate_id: str
    status: str
    facts: CertificateFacts


@dataclass(frozen=True, kw_only=True)
class Thing:
    """A thing that already has the device's name."""

    thing_type: str | None
    attributes: dict[str, str]
    others: dict[str, ManifestEntry | None]
    """Certificate id to manifest entry, of the certificates attached besides the one that knocks."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """What the cloud holds where the device would go."""

    model_known: bool
    thing: Thing | None


@dataclass(frozen=True, kw_only=True)
class Admit:
    """Create the thing if need be, give the certificate policy and thing, and activate it, in that order."""

    thing_name: str
    thing_type: str
    attributes: dict[str, str]
    makes_thing: bool
    """False where the thing is there: it keeps the attributes of its first identity."""


@dataclass(frozen=True, kw_only=True)
class Refuse:
    """Leave the certificate as it is."""

    reason: Reason
    detail: str


@dataclass(frozen=True)
class Settled:
    """The certificate is active, so an earlier run finished: activation comes last."""


def decide(
    registered: Registered, entry: ManifestEntry | None, place: Place, *, now: datetime
) -> Admit | Refuse | Settled:
    """What to do about a registered certificate. `place` is what the cloud holds for the entry's device and model."""
    if registered.status == ACTIVE:
        return Settled()
    if registered.status != PENDING:
        return Refuse(
            reason=Reason.NOT_PENDING,
            detail=f"its status is {registered.status}: someone took it out, and only they may bring it back",
        )
    if entry is None:
        return Refuse(
            reason=Reason.NOT_IN_MANIFEST,
            detail="no manifest lists this fingerprint; if the factory issued it, run: python -m provisioning sync",
        )
    refused = _refuse_identity(registered, entry, now=now) or _refuse_place(entry, place, now=now)
    return refused or Admit(
        thing_name=entry.device,
        thing_type=entry.model,
        attributes=thing_attributes(entry),
        makes_thing=place.thing is None,
    )


def _refuse_identity(registered: Registered, entry: ManifestEntry, *, now: datetime) -> Refuse | None:
    """Whether the certificate is what the manifest lists, and still stands."""
    facts = registered.facts
    if not facts.fingerprint == registered.certificate_id == entry.fingerprint:
        return Refuse(
            reason=Reason.WRONG_FINGERPRINT,
            detail=f"its fingerprint is {facts.fingerprint}, the manifest's is {entry.fingerprint}",
        )
    if entry.standing is not Standing.GOOD:
        return Refuse(reason=Reason.REVOKED, detail=f"the manifest's standing is {entry.standing}")
    if facts.common_name != (entry.common_name or entry.device):
        return Refuse(
            reason=Reason.WRONG_NAME,
            detail=f"its common name is {facts.common_name!r}, the manifest's {entry.common_name or entry.device!r}",
        )
    if now < facts.not_before:
        return Refuse(reason=Reason.NOT_YET_VALID, detail=f"it is valid from {facts.not_before.isoformat()}")
    if now >= min(facts.not_after, entry.not_after):
        return Refuse(reason=Reason.EXPIRED, detail=f"it was valid until {facts.not_after.isoformat()}")
    return None


def _refuse_place(entry: ManifestEntry, place: Place, *, now: datetime) -> Refuse | None:
    """Whether the cloud has a place for the device that is its own."""
    if not place.model_known:
        return Refuse(
            reason=Reason.UNKNOWN_MODEL,
            detail=f"model {entry.model!r} has no thing type here; add it to the stack file and deploy",
        )
    if place.thing is None:
        return None
    for certificate_id, other in place.thing.others.items():
        if other is None or other.device != entry.device or other.standing is not Standing.GOOD:
            standing = "does not list" if other is None else f"lists as {other.standing} for {other.device!r}"
            return Refuse(
                reason=Reason.OTHER_CERTIFICATE,
                detail=f"thing {entry.device!r} holds certificate {certificate_id}, which the manifest {standing}; "
                "detach it from the thing",
            )
        if now < other.not_after:
            return Refuse(
                reason=Reason.SECOND_IDENTITY,
                detail=f"thing {entry.device!r} holds certificate {certificate_id} of {other.authority}, which the "
                f"manifest lists as good until {other.not_after.isoformat()}, and a device has one identity; end the "
                "one that is wrong in its ledger (python -m provisioning retire), then sync from there",
            )
    if {place.thing.thing_type, place.thing.attributes.get("model")} != {entry.model}:
        return Refuse(
            reason=Reason.THING_CONFLICT,
            detail=f"thing {entry.device!r} exists with type {place.thing.thing_type!r} and attributes "
            f"{place.thing.attributes}, and is no {entry.model!r}; delete it, and the next try makes it anew",
        )
    return None


def thing_attributes(entry: ManifestEntry) -> dict[str, str]:
    """The attributes of the thing made for an identity."""
    return {"model": entry.model, "authority": entry.authority, "serial": entry.serial}
