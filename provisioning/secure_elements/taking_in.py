"""Put elements into the ledger: each an identity like one that was issued here, and the same however often."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from cryptography import x509

from provisioning.errors import RefusedError
from provisioning.ledger.ledger import Ledger
from provisioning.ledger.records import Identity
from provisioning.secure_elements.element import Defect
from provisioning.secure_elements.plan import Acceptable


class Known(StrEnum):
    """What the ledger knows of an element."""

    NEW = "new"
    TAKEN_IN = "taken in before"


@dataclass(frozen=True, kw_only=True)
class Place:
    """An element and what the ledger knows of it."""

    found: Acceptable
    known: Known


def places(
    elements: Iterable[Acceptable], ledger: Ledger | None, model: str
) -> tuple[tuple[Place, ...], tuple[Defect, ...]]:
    """Where each element stands, and which of them the ledger refuses; no ledger yet knows nobody."""
    found: list[Place] = []
    defects: list[Defect] = []
    for each in elements:
        try:
            known = _known(each, ledger, model)
        except RefusedError as error:
            defects.append(Defect(each.element.place, str(error)))
        else:
            found.append(Place(found=each, known=known))
    return tuple(found), tuple(defects)


def take_in(
    found: Iterable[Place],
    ledger: Ledger,
    model: str,
    authorities: Mapping[str, x509.Certificate],
    clock: Callable[[], datetime],
) -> Iterator[Identity]:
    """Every element that is new, recorded and delivered: its certificate is in it already."""
    for each in found:
        if each.known is Known.TAKEN_IN:
            continue
        certificate = each.found.element.certificate
        issuer = authorities[each.found.authority]
        # Vendors let elements outlive their signer; past the signer's end nobody can verify them.
        not_after = min(certificate.not_valid_after_utc, issuer.not_valid_after_utc)
        standing = ledger.prepare(each.found.intent(model, not_after=not_after), at=clock())
        identity = standing if isinstance(standing, Identity) else ledger.record(standing, certificate, at=clock())
        ledger.deliver(identity, at=clock())
        yield identity


def _known(each: Acceptable, ledger: Ledger | None, model: str) -> Known:
    if ledger is None:
        return Known.NEW
    standing = ledger.find(each.device, each.key_hash, model=model, authority=each.authority)
    if not isinstance(standing, Identity):
        return Known.NEW
    if standing.fingerprint != each.fingerprint:
        raise RefusedError(
            f"device {each.device} has this key with another certificate ({standing.fingerprint[:16]}…); a vendor's "
            f"new file does not replace what was delivered: revoke it first, and take the element out"
        )
    return Known.TAKEN_IN
