"""Put elements into the ledger: each an identity like one that was issued here, and the same however often."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from provisioning.errors import RefusedError
from provisioning.ledger.ledger import Ledger
from provisioning.ledger.records import Identity, Prepared, Signed
from provisioning.secure_elements.element import Defect
from provisioning.secure_elements.plan import Acceptable

BATCH = 500
"""One sync of the disk for so many."""

_Given = TypeVar("_Given")


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
    """Every element that is new, recorded and delivered: its certificate is in it already. Yielded means durable.

    `ConflictError` when somebody else was faster with a device or a key; what was yielded before stands.
    """
    waiting = (each.found for each in found if each.known is Known.NEW)
    while some := tuple(itertools.islice(waiting, BATCH)):
        intents = [each.intent(model, not_after=_end(each, authorities)) for each in some]
        prepared = _granted(ledger.prepare_all(intents, at=clock()))
        signed = [
            Signed(standing, each.element.certificate.public_bytes(Encoding.DER))
            for each, standing in zip(some, prepared, strict=True)
            if isinstance(standing, Prepared)
        ]
        recorded = iter(_granted(ledger.record_all(signed, at=clock())))
        identities = [each if isinstance(each, Identity) else next(recorded) for each in prepared]
        ledger.deliver_all(identities, at=clock())
        yield from identities


def _end(each: Acceptable, authorities: Mapping[str, x509.Certificate]) -> datetime:
    """Vendors let elements outlive their signer; past the signer's end nobody can verify them."""
    return min(each.element.certificate.not_valid_after_utc, authorities[each.authority].not_valid_after_utc)


def _granted(given: Sequence[_Given | RefusedError]) -> list[_Given]:
    granted = []
    for each in given:
        if isinstance(each, RefusedError):
            raise each
        granted.append(each)
    return granted


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
