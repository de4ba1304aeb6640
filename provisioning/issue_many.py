"""Issue many identities with two commits: all are recorded, all are signed, all are recorded.

The order of `docs/issuance.md` holds for each of them as if it came alone, and nobody is handed anything before the
second commit is on the disk. Several processes may do this with one ledger: each signs while another commits.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from provisioning.authority import IssuingAuthority
from provisioning.birth import BirthProfile
from provisioning.certify import signing
from provisioning.draft import draft
from provisioning.errors import RefusedError, StationError
from provisioning.issue import check_signed, check_standing, check_valid
from provisioning.ledger.ledger import Ledger
from provisioning.ledger.records import Identity, Intent, Prepared, Signed
from provisioning.request import Request

Given = Identity | RefusedError | StationError
"""An identity; or why there is none: what was asked contradicts what stands, or what stands is not valid by the clock.
The second is nothing that whoever asked did wrong."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A request that passed its checks, and what its model's certificates have in common."""

    request: Request
    profile: BirthProfile


def issue_many(
    wanted: Sequence[Wanted],
    authority: IssuingAuthority,
    ledger: Ledger,
    *,
    clock: Callable[[], datetime],
    new_serial: Callable[[], int],
) -> list[Given]:
    """What each is given, in their order; the same however often it is asked for.

    `StationError` when the clock was turned while this ran: what was reserved in this call waits for a rerun.
    """
    now = clock()
    drafted = [_draft(each, authority, now, new_serial()) for each in wanted]
    intents = [each for each in drafted if isinstance(each, Intent)]
    prepared = ledger.prepare_all(intents, at=now)
    sign = signing(authority.signer)
    signed = [Signed(each, sign(each.to_be_signed)) if isinstance(each, Prepared) else each for each in prepared]
    signed_at = clock()
    checked = [_checked(*each, authority, signed_at) for each in zip(signed, intents, strict=True)]
    recorded = iter(ledger.record_all([each for each in checked if isinstance(each, Signed)], at=signed_at))
    given = iter([next(recorded) if isinstance(each, Signed) else each for each in checked])
    return [next(given) if isinstance(each, Intent) else each for each in drafted]


def _draft(wanted: Wanted, authority: IssuingAuthority, now: datetime, serial: int) -> Intent | RefusedError:
    try:
        return draft(wanted.request, authority.template, profile=wanted.profile, now=now, serial=serial)
    except RefusedError as error:
        return error


def _checked(
    standing: Signed | Identity | RefusedError, intent: Intent, authority: IssuingAuthority, now: datetime
) -> Signed | Given:
    """What may be recorded and handed out, or why not.

    Bytes that were drafted just now name this authority; those of an earlier run are parsed, to be asked.
    """
    if isinstance(standing, Signed) and standing.prepared.to_be_signed is intent.to_be_signed:
        check_valid(intent.device, intent.not_before, intent.not_after, now=now)
        return standing
    try:
        if isinstance(standing, Signed):
            check_signed(x509.load_der_x509_certificate(standing.der), intent.device, authority, now=now)
        elif isinstance(standing, Identity):
            check_standing(standing, now=now)
    except StationError as error:
        return error
    return standing
