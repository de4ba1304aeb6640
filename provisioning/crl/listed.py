"""Which certificates of an authority belong on its next list."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from provisioning.crl.entries import Revoked
from provisioning.crl.note import read_note
from provisioning.crl.shelf import Numbered
from provisioning.crl.withdrawn import Withdrawn
from provisioning.ledger.ledger import Ledger
from provisioning.ledger.times import as_microseconds, from_microseconds

CLOCK_MARGIN = timedelta(days=1)
"""A clock may have been set back since the base. What was withdrawn shortly before it is named again, which is harmless
(RFC 5280, section 5.2.4: a delta may name more than it must)."""
_ENDED = "step.step IN ('revoked', 'retired')"


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What a list is to say."""

    authority: str
    base: Numbered | None
    """Of a delta: what is on this list already is left out."""
    last_full: Numbered | None


def position_of(ledger: Ledger) -> int:
    """The number of the last step in the ledger; 0 in an empty one."""
    (position,) = ledger.connection.execute("SELECT coalesce(max(number), 0) FROM step").fetchone()
    return int(position)


def ended(ledger: Ledger, scope: Scope, position: int) -> Iterator[Revoked]:
    """The authority's ended certificates up to `position`, in the order in which they were.

    An intent that was ended before its certificate was recorded is among them: it may have been signed. One that
    expired is left out once a full list named it after its end (RFC 5280, section 3.3).
    """
    after = 0 if scope.base is None else scope.base.position
    rows = ledger.connection.execute(
        "SELECT step.number, serial, step.at, note, not_after FROM step JOIN issuance ON issuance.number = issuance "  # noqa: S608  # our own words
        f"WHERE {_ENDED} AND authority = ? AND step.number > ? AND step.number <= ? ORDER BY step.number",
        (scope.authority, after, position),
    )
    full = scope.last_full
    full_position = 0 if full is None else full.position
    full_moment = 0 if full is None else as_microseconds(full.this_update)
    for number, serial, at, note, not_after in rows:
        if number <= full_position and not_after < full_moment:
            continue
        reason, since = read_note(note)
        yield Revoked(int.from_bytes(serial), from_microseconds(at), reason, since)


def withdrawn_by(authority: str, withdrawn: Iterator[Withdrawn], base: Numbered | None) -> Iterator[Revoked]:
    """The authority's withdrawn stations, or the root's withdrawn authorities."""
    for each in withdrawn:
        if each.issuer == authority and (base is None or each.at >= base.this_update - CLOCK_MARGIN):
            yield each.revoked()
