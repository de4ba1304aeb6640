"""Issue one identity: record, sign, record; the order of `docs/issuance.md`.

The types hold the order: `certify` gets its bytes from a `Prepared`, which only the ledger gives, and only an
`Identity`, which is durable, can be handed out.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from provisioning.authority import IssuingAuthority
from provisioning.certify import certify, to_be_signed
from provisioning.errors import RefusedError, StationError
from provisioning.ledger.ledger import Ledger
from provisioning.ledger.records import Identity, Intent, Prepared
from provisioning.profile import Validity, device_builder, issuer_key_identifier
from provisioning.request import Request


def issue(
    request: Request,
    authority: IssuingAuthority,
    ledger: Ledger,
    *,
    lifetime: timedelta,
    clock: Callable[[], datetime],
    new_serial: Callable[[], int],
) -> Identity:
    """The device's identity, the same however often it is asked for."""
    standing = ledger.find(request.device, request.key_hash, model=request.model, authority=request.authority)
    if standing is None:
        now = clock()
        standing = ledger.prepare(draft(request, authority, lifetime=lifetime, now=now, serial=new_serial()), at=now)
    if isinstance(standing, Prepared):
        return _sign(standing, authority, ledger, clock)
    return standing


def draft(request: Request, authority: IssuingAuthority, *, lifetime: timedelta, now: datetime, serial: int) -> Intent:
    """What would be signed for the request; `RefusedError` when it cannot be."""
    issuer = authority.certificate
    validity = Validity.lasting(lifetime, now=now)
    validity = Validity(not_before=max(validity.not_before, issuer.not_valid_before_utc), not_after=validity.not_after)
    if request.public_key == issuer.public_key():
        raise RefusedError(f"device {request.device} asks with the key of authority {authority.name}; make a new key")
    if not validity.lies_within(Validity.of(issuer)):
        raise RefusedError(
            f"device {request.device}: a certificate of {lifetime.days} days would end on "
            f"{validity.not_after:%Y-%m-%d}, after its issuer {authority.name} on "
            f"{issuer.not_valid_after_utc:%Y-%m-%d}; issue with a younger authority, or a shorter --lifetime-days"
        )
    builder = device_builder(
        device=request.device, public_key=request.public_key, issuer=issuer, validity=validity, serial=serial
    )
    return Intent(
        device=request.device,
        model=request.model,
        authority=authority.name,
        key_hash=request.key_hash,
        serial=serial,
        not_before=validity.not_before,
        not_after=validity.not_after,
        to_be_signed=to_be_signed(builder),
    )


def _sign(prepared: Prepared, authority: IssuingAuthority, ledger: Ledger, clock: Callable[[], datetime]) -> Identity:
    certificate = certify(prepared.to_be_signed, authority.signer)
    if not _fits(certificate, authority.certificate):
        raise StationError(
            f"what was prepared names another issuer than authority {authority.name} is now; "
            f"revoke the device, and issue it again with a new key"
        )
    return ledger.record(prepared, certificate, at=clock())


def _fits(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether the chain holds, key identifiers too, which signatures do not show."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    named = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    return named == issuer_key_identifier(issuer)
