"""What one certificate is here and there, and how the two differ. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from protocol.admission import ManifestEntry, Standing
from provisioning.algorithm import PublicKey
from provisioning.reconcile.finding import Finding, Kind
from provisioning.signed_entry import SignedEntry

ACTIVE = "ACTIVE"
PENDING = "PENDING_ACTIVATION"


@dataclass(frozen=True, kw_only=True)
class Here:
    """What the ledger holds of a certificate."""

    entry: ManifestEntry
    is_told: bool
    """Delivered or ended: what `sync` uploads. A certificate that is only signed may not have left the station."""
    is_noted: bool
    """The ledger notes that this cluster registered it ahead."""


@dataclass(frozen=True, kw_only=True)
class ThingThere:
    """The thing of the device's name."""

    thing_type: str
    model: str


@dataclass(frozen=True, kw_only=True)
class There:
    """What the cluster holds of it; None for what it does not have."""

    item: Mapping[str, str] | None
    """The manifest's."""
    status: str | None
    """The certificate's, where it is registered."""
    thing: ThingThere | None
    has_policy: bool
    """Its own, or its thing's group's."""
    is_attached: bool | None
    """None where nobody looked."""


@dataclass(frozen=True, kw_only=True)
class Trust:
    """Whose signatures on manifest entries count."""

    keys: Mapping[str, PublicKey]
    """Of stations, by id; ours among them."""
    ours: str
    """Id of the key of the station whose ledger is compared: what it told, this ledger must hold."""


def differences(fingerprint: str, here: Here | None, there: There, trust: Trust) -> Iterator[Finding]:
    """Every difference, the manifest's first."""
    row, is_readable = _read(there.item)
    if here is None:
        yield from _unknown(fingerprint, row, there, trust, is_readable=is_readable)
        return
    device = here.entry.device

    def found(kind: Kind, detail: str = "") -> Finding:
        return Finding(kind=kind, device=device, fingerprint=fingerprint, detail=detail)

    if not is_readable:
        yield found(Kind.ROW_UNREADABLE)
    elif row is None:
        if here.is_told:
            yield found(Kind.ROW_MISSING)
    else:
        yield from (found(kind, detail) for kind, detail in _rows(here.entry, row, trust))
    yield from (found(kind, detail) for kind, detail in _registration(here, there))


def second_identities(device: str, items: Iterable[Mapping[str, str]], now: datetime) -> Iterator[Finding]:
    """A device of which more than one identity stands: the ledgers that made them do not know each other."""
    rows = (row for row, _ in map(_read, items) if row is not None)
    standing = [row.entry for row in rows if row.entry.standing is Standing.GOOD and now < row.entry.not_after]
    if len(standing) > 1:
        named = sorted(f"{entry.fingerprint} of {entry.authority}" for entry in standing)
        yield Finding(kind=Kind.SECOND_IDENTITY, device=device, fingerprint="", detail=", ".join(named))


def _read(item: Mapping[str, str] | None) -> tuple[SignedEntry | None, bool]:
    if item is None:
        return None, True
    try:
        return SignedEntry.from_item(item), True
    except (KeyError, ValueError):
        return None, False


def _unknown(
    fingerprint: str,
    row: SignedEntry | None,
    there: There,
    trust: Trust,
    *,
    is_readable: bool,
) -> Iterator[Finding]:
    """Nothing here: another station's, one that this ledger lost, or nobody's."""
    if row is not None and row.is_vouched_for(trust.keys):
        # A revoked one of ours may be what `revocation apply` took back for a station that was lost.
        if row.signed_by == trust.ours and row.entry.standing is Standing.GOOD:
            yield Finding(kind=Kind.ROW_LOST_HERE, device=row.entry.device, fingerprint=fingerprint)
        return
    device = row.entry.device if row is not None else (there.item or {}).get("device", "")
    if not is_readable:
        yield Finding(kind=Kind.ROW_UNREADABLE, device=device, fingerprint=fingerprint)
    elif row is not None:
        yield Finding(kind=Kind.ROW_UNKNOWN, device=device, fingerprint=fingerprint)
    if there.status is not None:
        kind = Kind.CERTIFICATE_PENDING if there.status == PENDING else Kind.CERTIFICATE_UNKNOWN
        yield Finding(kind=kind, device=device, fingerprint=fingerprint, detail=there.status)


def _rows(wanted: ManifestEntry, row: SignedEntry, trust: Trust) -> Iterator[tuple[Kind, str]]:
    said, ours = row.entry.to_item(), wanted.to_item()
    wrong = {name for name in said.keys() | ours.keys() if said.get(name) != ours.get(name)}
    if wrong - {"standing"}:
        yield Kind.ROW_DIFFERS, ", ".join(f"{name} {said.get(name, 'absent')!r}" for name in sorted(wrong))
    elif wrong:
        yield (Kind.ROW_NOT_REVOKED if wanted.standing is Standing.REVOKED else Kind.ROW_REVOKED_THERE), ""
    elif not row.is_vouched_for(trust.keys):
        yield Kind.ROW_NOT_SIGNED, "no signature" if not row.signature else f"by {row.signed_by[:16] or 'nobody'}"


def _registration(here: Here, there: There) -> Iterator[tuple[Kind, str]]:
    has_ended = here.entry.standing is Standing.REVOKED
    if has_ended:
        if there.status not in (None, "REVOKED"):
            yield Kind.CERTIFICATE_STANDS, str(there.status)
        return
    if there.status is None:
        if here.is_noted:
            yield Kind.CERTIFICATE_MISSING, ""
    elif there.status == PENDING:
        yield Kind.CERTIFICATE_PENDING, there.status
    elif there.status != ACTIVE:
        yield Kind.CERTIFICATE_TAKEN_OUT, there.status
    else:
        yield from _rights(here, there)


def _rights(here: Here, there: There) -> Iterator[tuple[Kind, str]]:
    """Of an active certificate: the thing is the device's, and it has policy and thing."""
    if there.thing is None:
        yield Kind.THING_MISSING, ""
    elif {there.thing.thing_type, there.thing.model} != {here.entry.model}:
        yield Kind.THING_DIFFERS, f"type {there.thing.thing_type!r}, model {there.thing.model!r}"
        return
    if not there.has_policy:
        yield Kind.POLICY_MISSING, ""
    if there.is_attached is False and there.thing is not None:
        yield Kind.NOT_ATTACHED, ""
