"""Issue one identity: record, sign, record; the order of `docs/issuance.md`.

The types hold the order: `certify` gets its bytes from a `Prepared`, which only the ledger gives, and only an
`Identity`, which is durable, can be handed out.
"""

from collections.abc import Callable
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from protocol.device_id import DeviceId
from provisioning.authority import IssuingAuthority
from provisioning.birth import BirthProfile
from provisioning.certify import certify
from provisioning.draft import draft
from provisioning.errors import StationError
from provisioning.ledger.ledger import Ledger
from provisioning.ledger.records import Identity, Prepared
from provisioning.profile import issuer_key_identifier
from provisioning.request import Request


def issue(
    request: Request,
    authority: IssuingAuthority,
    ledger: Ledger,
    *,
    profile: BirthProfile,
    clock: Callable[[], datetime],
    new_serial: Callable[[], int],
    is_delivered: bool = False,
) -> Identity:
    """The device's identity, the same however often it is asked for.

    `is_delivered`: the caller hands it over by answering, so the ledger says so in the commit that keeps it.
    """
    standing = ledger.find(request.device, request.key_hash, model=request.model, authority=request.authority)
    if standing is None:
        now = clock()
        intent = draft(request, authority.template, profile=profile, now=now, serial=new_serial())
        standing = ledger.prepare(intent, at=now)
    if isinstance(standing, Prepared):
        certificate = certify(standing.to_be_signed, authority.signer)
        now = clock()
        check_signed(certificate, standing.device, authority, now=now)
        return ledger.record(standing, certificate, at=now, is_delivered=is_delivered)
    now = clock()
    check_standing(standing, now=now)
    if is_delivered:
        ledger.deliver(standing, at=now)
    return standing


def check_signed(
    certificate: x509.Certificate, device: DeviceId, authority: IssuingAuthority, *, now: datetime
) -> None:
    """Refuse what was prepared when the authority had another certificate, or the clock another day."""
    if not _fits(certificate, authority.certificate):
        raise StationError(
            f"device {device}: what was prepared names another issuer than authority {authority.name} is now; "
            f"revoke the device, and issue it again with a new key"
        )
    check_valid(device, certificate.not_valid_before_utc, certificate.not_valid_after_utc, now=now)


def check_standing(identity: Identity, *, now: datetime) -> None:
    """`check_valid` for what was issued before."""
    certificate = identity.certificate
    check_valid(identity.device, certificate.not_valid_before_utc, certificate.not_valid_after_utc, now=now)


def check_valid(device: DeviceId, not_before: datetime, not_after: datetime, *, now: datetime) -> None:
    """Refuse to hand out what is not valid now: the clock went back since it was prepared, or years went by."""
    if now < not_before:
        raise StationError(
            f"device {device}: its certificate is valid from {not_before:%Y-%m-%d %H:%M} UTC, and the clock says "
            f"{now:%Y-%m-%d %H:%M}; set this station's clock and run this again. If it was ahead before and is right "
            f"now, revoke the device, and issue it again with a new key"
        )
    if now > not_after:
        raise StationError(
            f"device {device}: its certificate was valid until {not_after:%Y-%m-%d %H:%M} UTC, and the clock says "
            f"{now:%Y-%m-%d %H:%M}; set this station's clock. If it is right, revoke the device, and issue it again "
            f"with a new key"
        )


def _fits(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether the chain holds, key identifiers too, which signatures do not show."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    named = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    return named == issuer_key_identifier(issuer)
