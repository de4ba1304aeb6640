"""What a vendor's file comes to: every element an identity of ours, or the reasons why none is."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from protocol.device_id import DeviceId, InvalidDeviceIdError, parse_device_id
from provisioning.ledger.records import Intent
from provisioning.refused_keys import RefusedKeys, spki_of
from provisioning.secure_elements.check import authority_of
from provisioning.secure_elements.element import Defect, Element

SERIAL = "{serial}"
"""What stands for an element's serial number in `--device-id`."""


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What holds for every element of a file."""

    model: str
    device_id: str
    """A device id with `{serial}` in it: `{serial}`, `fl100-{serial}`."""
    authorities: Mapping[str, x509.Certificate]
    """The vendor's, by their names in the stack."""
    now: datetime
    refused_keys: RefusedKeys
    """Keys that are never certified, and never taken in either."""


@dataclass(frozen=True, kw_only=True)
class Acceptable:
    """An element that is good in itself."""

    element: Element
    device: DeviceId
    authority: str
    key_hash: str

    def intent(self, model: str, *, not_after: datetime) -> Intent:
        """What the ledger is told before it is told the certificate."""
        certificate = self.element.certificate
        return Intent(
            device=self.device,
            model=model,
            authority=self.authority,
            key_hash=self.key_hash,
            serial=certificate.serial_number,
            not_before=certificate.not_valid_before_utc,
            not_after=not_after,
            to_be_signed=certificate.tbs_certificate_bytes,
        )

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate."""
        return self.element.certificate.fingerprint(hashes.SHA256()).hex()


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A whole file: nothing of it is used while it has a defect."""

    acceptable: tuple[Acceptable, ...]
    defects: tuple[Defect, ...]


def check(entries: Iterable[Element | Defect], terms: Terms) -> Checked:
    """Every entry against every rule; one device an element, one key a device."""
    acceptable: list[Acceptable] = []
    defects: list[Defect] = []
    first: dict[str, str] = {}
    for entry in entries:
        if isinstance(entry, Defect):
            defects.append(entry)
            continue
        try:
            found = _acceptable(entry, terms)
            _check_unique(found, first)
        except ValueError as error:
            defects.append(Defect(entry.place, str(error)))
        else:
            acceptable.append(found)
    return Checked(acceptable=tuple(acceptable), defects=tuple(defects))


def _acceptable(element: Element, terms: Terms) -> Acceptable:
    try:
        device = parse_device_id(terms.device_id.replace(SERIAL, element.serial))
    except InvalidDeviceIdError as error:
        raise ValueError(f"{error} (from --device-id)") from error
    spki = spki_of(element.certificate)
    authority = authority_of(element.certificate, terms.authorities, terms.now)
    if (refusal := terms.refused_keys.refusal(spki)) is not None:
        raise ValueError(refusal)
    return Acceptable(
        element=element,
        device=device,
        authority=authority,
        key_hash=hashlib.sha256(spki).hexdigest(),
    )


def _check_unique(found: Acceptable, first: dict[str, str]) -> None:
    """Refuse what another entry has already; `first` maps what must be unique to where it was seen."""
    for what, value in (
        ("device", found.device),
        ("key", found.key_hash),
        ("serial number of the certificate", f"{found.authority} {found.element.certificate.serial_number:x}"),
    ):
        other = first.setdefault(f"{what} {value}", found.element.place)
        if other != found.element.place:
            raise ValueError(f"its {what} is that of {other} already; one element is one device with one key")
