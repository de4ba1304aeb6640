"""A difference between ledger and cloud: what it means, who acts, and whether it is safe to mend from here."""

from dataclasses import dataclass
from enum import StrEnum


class Repair(StrEnum):
    """What `--repair` may do: only what makes the cloud say what the ledger says, and never less strict."""

    TELL = "tell the manifest"
    SIGN = "sign the entry again"
    WITHDRAW = "revoke the registration"
    ENROL = "register, as sync --eager does"


class Kind(StrEnum):
    """Every way in which the two can differ."""

    ROW_MISSING = "not in the manifest"
    ROW_NOT_REVOKED = "ended here, good in the manifest"
    ROW_NOT_SIGNED = "not signed by a station we trust"
    ROW_REVOKED_THERE = "good here, revoked in the manifest"
    ROW_DIFFERS = "the manifest says something else"
    ROW_UNREADABLE = "no manifest entry"
    ROW_UNKNOWN = "in the manifest, in no ledger we know"
    ROW_LOST_HERE = "told by this station, and not in its ledger"
    SECOND_IDENTITY = "a device with two identities"
    CERTIFICATE_STANDS = "ended here, registered there"
    CERTIFICATE_MISSING = "noted as registered, unknown there"
    CERTIFICATE_PENDING = "came, and was not admitted"
    CERTIFICATE_TAKEN_OUT = "good here, taken out there"
    CERTIFICATE_UNKNOWN = "registered, in no ledger we know"
    THING_MISSING = "registered without its thing"
    THING_DIFFERS = "its thing is another model's"
    THING_UNKNOWN = "a device's thing, in no ledger we know"
    POLICY_MISSING = "registered without its policy"
    NOT_ATTACHED = "registered, not attached to its thing"


@dataclass(frozen=True)
class Meaning:
    """What to do about a kind of difference."""

    acts: str
    """`station`: whoever syncs; `operator`: whoever runs the cloud."""
    way_out: str
    repair: Repair | None = None


MEANINGS: dict[Kind, Meaning] = {
    Kind.ROW_MISSING: Meaning("station", "run sync, or --repair", Repair.TELL),
    Kind.ROW_NOT_REVOKED: Meaning("station", "run sync, or --repair, now: it could still be admitted", Repair.TELL),
    Kind.ROW_NOT_SIGNED: Meaning("station", "--repair signs it: it says what the ledger says", Repair.SIGN),
    Kind.ROW_REVOKED_THERE: Meaning("operator", "somebody revoked it in the cloud: find out why, then revoke it here"),
    Kind.ROW_DIFFERS: Meaning("operator", "compare the item with `ledger show`; revoke the device if nobody knows why"),
    Kind.ROW_UNREADABLE: Meaning("operator", "look at the item; delete it, then run sync"),
    Kind.ROW_UNKNOWN: Meaning("operator", "find out who wrote it: --trust another station's key, or delete it"),
    Kind.ROW_LOST_HERE: Meaning(
        "station",
        "is this an old copy of the ledger? Issue nothing before the newest one is back; what no copy has: the report "
        "of its batch names it, and it is issued again once its item is deleted and its certificate revoked",
    ),
    Kind.SECOND_IDENTITY: Meaning(
        "operator",
        "find out which the board has (`ledger show` at each station); retire the other there, then sync there",
    ),
    Kind.CERTIFICATE_STANDS: Meaning("station", "--repair revokes it and takes policy and thing away", Repair.WITHDRAW),
    Kind.CERTIFICATE_MISSING: Meaning("station", "--repair registers it again", Repair.ENROL),
    Kind.CERTIFICATE_PENDING: Meaning("operator", "the registrar's log says why; the device comes again by itself"),
    Kind.CERTIFICATE_TAKEN_OUT: Meaning("operator", "find out who took it out; only they may bring it back"),
    Kind.CERTIFICATE_UNKNOWN: Meaning("operator", "find out who registered it; revoke it if nobody knows"),
    Kind.THING_MISSING: Meaning("station", "--repair makes it", Repair.ENROL),
    Kind.THING_DIFFERS: Meaning("operator", "delete it if it is not the device's; the next connect makes it anew"),
    Kind.THING_UNKNOWN: Meaning("operator", "another ledger's device, or a left-over: delete it if nobody knows it"),
    Kind.POLICY_MISSING: Meaning("station", "--repair gives it", Repair.ENROL),
    Kind.NOT_ATTACHED: Meaning("station", "--repair attaches it", Repair.ENROL),
}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One difference in one cluster."""

    kind: Kind
    device: str
    """Empty where the cloud does not say."""
    fingerprint: str
    """Empty for a thing without a certificate, and for a device with several."""
    detail: str = ""

    @property
    def meaning(self) -> Meaning:
        """What to do about it."""
        return MEANINGS[self.kind]
