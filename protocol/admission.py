"""What the factory tells the cloud about an identity, so that the registrar may admit it (design decision 6).

One manifest item per certificate, keyed by its fingerprint: the SHA-256 of the certificate's DER in lower-case hex,
which is also the certificate id AWS IoT gives it. The item holds no secret. Beside the entry stand the factory's
signature over it and the key that made it (docs/adr/0016), which whoever reads the entry alone may pass over.
"""

import json
import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from protocol.device_id import DeviceId, parse_device_id

MANIFEST_KEY = "fingerprint"
"""The partition key of the manifest table, a string."""
MANIFEST_DEVICE_INDEX = "device"
"""The index that finds every identity of a device, so that nobody scans a fleet to learn about one. It follows the
table within moments and cannot be read consistently (DynamoDB), so the registrar never decides by it."""
MANIFEST_DEVICE_KEY = "device"
"""The partition key of that index, a string: the field `device` of an entry."""

MANIFEST_MODEL = "model"
"""The field `model` of an entry, for who asks for nothing else."""

SIGNATURE_FIELD = "signature"
"""Beside an entry: the factory's signature over `ManifestEntry.statement`, in base64."""
SIGNED_BY_FIELD = "signed_by"
"""Beside an entry: SHA-256 of the signing key's SubjectPublicKeyInfo in DER, lower-case hex."""

_STATEMENT = b"flotilla manifest entry 1\n"
"""What a signature over an entry begins with, so that it can never be taken for one over anything else."""
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")


class Standing(StrEnum):
    """Whether the factory stands by an identity."""

    GOOD = "good"
    REVOKED = "revoked"


@dataclass(frozen=True, kw_only=True)
class ManifestEntry:
    """An identity the factory made. Times are UTC."""

    fingerprint: str
    device: DeviceId
    model: str
    authority: str
    serial: str
    """The certificate's serial number, lower-case hex without a prefix."""
    not_after: datetime
    standing: Standing
    common_name: str = ""
    """Of a certificate that a vendor of secure elements made: what it calls the element. Empty where it is the device's
    own, as in every certificate that we make."""

    def to_item(self) -> dict[str, str]:
        """The manifest table's item: plain strings, times in ISO 8601; a common name only where there is one."""
        item = {
            "fingerprint": self.fingerprint,
            "device": self.device,
            "model": self.model,
            "authority": self.authority,
            "serial": self.serial,
            "not_after": self.not_after.isoformat(),
            "standing": self.standing.value,
        }
        return {**item, "common_name": self.common_name} if self.common_name else item

    @property
    def statement(self) -> bytes:
        """The bytes that the factory signs: a first line, then the item as JSON, sorted, without spaces."""
        return _STATEMENT + json.dumps(self.to_item(), sort_keys=True, separators=(",", ":")).encode("ascii")

    @classmethod
    def from_item(cls, item: dict[str, Any]) -> "ManifestEntry":
        """The entry in a table item; `ValueError` or `KeyError` when it is not one."""
        fingerprint = str(item["fingerprint"])
        if not _FINGERPRINT.fullmatch(fingerprint):
            raise ValueError(f"fingerprint {fingerprint!r} is not 64 lower-case hex digits")
        not_after = datetime.fromisoformat(str(item["not_after"]))
        if not_after.tzinfo is None:
            raise ValueError(f"not_after {item['not_after']!r} names no time zone")
        return cls(
            fingerprint=fingerprint,
            device=parse_device_id(str(item["device"])),
            model=str(item["model"]),
            authority=str(item["authority"]),
            serial=str(item["serial"]),
            not_after=not_after,
            standing=Standing(str(item["standing"])),
            common_name=str(item.get("common_name", "")),
        )
