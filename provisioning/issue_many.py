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
from provisioning.errors import RefusedError
from provisioning.issue import check_signed, check_valid
from provisioning.ledger.ledger import Ledger
from provisioning.ledger.records import Identity, Intent, Prepared, Signed
from provisioning.request import Request


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
) -> list[Identity | RefusedError]:
    """The identity of each, or why it is refused, in their order; the same however often it is asked for."""
    now = clock()
    drafted = [_draft(each, authority, now, new_serial()) for each in wanted]
    intents = [each for each in drafted if isinstance(each, Intent)]
    prepared = ledger.prepare_all(intents, at=now)
    sign = signing(authority.signer)
    signed = [
        _sign(standing, intent, sign)
        for standing, intent in zip(prepared, intents, strict=True)
        if isinstance(standing, Prepared)
    ]
    signed_at = clock()
    for _, intent, certificate in signed:
        if certificate is None:
            check_valid(intent.device, intent.not_before, intent.not_after, now=signed_at)
        else:
            check_signed(certificate, intent.device, authority, now=signed_at)
    recorded = iter(ledger.record_all([each for each, _, _ in signed], at=signed_at))
    standing_after = iter([next(recorded) if isinstance(each, Prepared) else each for each in prepared])
    return [next(standing_after) if isinstance(each, Intent) else each for each in drafted]


def _draft(wanted: Wanted, authority: IssuingAuthority, now: datetime, serial: int) -> Intent | RefusedError:
    try:
        return draft(wanted.request, authority.template, profile=wanted.profile, now=now, serial=serial)
    except RefusedError as error:
        return error


def _sign(
    prepared: Prepared, intent: Intent, sign: Callable[[bytes], bytes]
) -> tuple[Signed, Intent, x509.Certificate | None]:
    """Bytes that were drafted just now name this authority; those of an earlier run are parsed, to be asked."""
    der = sign(prepared.to_be_signed)
    is_new = prepared.to_be_signed is intent.to_be_signed
    return Signed(prepared, der), intent, None if is_new else x509.load_der_x509_certificate(der)
