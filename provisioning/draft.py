"""What would be signed for a request: pure, from plain data to plain data, so that worker processes may do it."""

from datetime import datetime, timedelta
from functools import lru_cache

from provisioning.birth import BirthProfile, BirthTemplate
from provisioning.errors import RefusedError
from provisioning.ledger.records import Intent
from provisioning.profile import Validity
from provisioning.request import Request


def draft(request: Request, template: BirthTemplate, *, profile: BirthProfile, now: datetime, serial: int) -> Intent:
    """The certificate that the ledger must hold before anybody may sign it; `RefusedError` when it cannot be."""
    issuer = template.issuer_validity
    validity = _validity(profile.lifetime, now, issuer)
    if request.spki == template.issuer_spki:
        raise RefusedError(
            f"device {request.device} asks with the key of authority {template.authority}; make a new key"
        )
    if not validity.lies_within(issuer):
        raise RefusedError(
            f"device {request.device}: a certificate of {profile.lifetime.days} days would end on "
            f"{validity.not_after:%Y-%m-%d}, after its issuer {template.authority} on {issuer.not_after:%Y-%m-%d}; "
            f"issue with a younger authority"
        )
    return Intent(
        device=request.device,
        model=request.model,
        authority=template.authority,
        key_hash=request.key_hash,
        serial=serial,
        not_before=validity.not_before,
        not_after=validity.not_after,
        to_be_signed=template.to_be_signed(
            device=request.device,
            key_type=request.key_type,
            spki=request.spki,
            validity=validity,
            serial=serial,
            alternative_name=profile.alternative_name,
        ),
    )


@lru_cache(maxsize=64)
def _validity(lifetime: timedelta, now: datetime, issuer: Validity) -> Validity:
    """From a little before now, but never before the issuer's. Cached: those of a batch are drafted at one moment."""
    validity = Validity.lasting(lifetime, now=now)
    if validity.not_before >= issuer.not_before:
        return validity
    return Validity(not_before=issuer.not_before, not_after=validity.not_after)
