"""What an audit finds, and what it proves where it finds nothing."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What is wrong; docs/issuance.md says what each means and who acts."""

    FILE = "file"
    """SQLite finds damage, or the rules that the file itself holds were taken out."""
    GAP = "gap"
    """A number without an entry, or with two."""
    CHAIN = "chain"
    """An entry that does not follow from the one before it and what it says."""
    CLOCK = "clock"
    """Time went back, or lies ahead of the auditor's."""
    CERTIFICATE = "certificate"
    """A certificate that is not what was prepared, or not what the ledger says of it."""
    SIGNATURE = "signature"
    """A certificate that its authority did not sign."""
    AUTHORITY = "authority"
    """An authority whose certificate the auditor was not given."""
    SEAL = "seal"
    """A station's signature that does not hold, or counts other than those there."""
    STATION = "station"
    """A seal by a key that the auditor does not know."""
    LEASE = "lease"
    """A station that signed beyond its lease, or anybody whose own certificate did not allow it."""
    DOUBLE = "double"
    """A device with two identities that stand."""
    NOT_SIGNED = "never signed"
    NOT_DELIVERED = "never delivered"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is wrong."""

    kind: Kind
    text: str
    number: int | None = None
    """The entry."""
    device: str | None = None

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self)
