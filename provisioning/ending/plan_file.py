"""A plan to end identities: a file that people read before it is carried out.

JSON: one line for what holds for all of it, then a line an identity: those of the ledger, then those of no ledger.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from pydantic import Field, ValidationError

from provisioning.crl.withdrawn import Withdrawn
from provisioning.durable import write_durably
from provisioning.ending.selection import Standing
from provisioning.ending.unreported import Unreported
from provisioning.errors import RefusedError
from provisioning.ledger.records import Reason
from stacks.environment import Frozen

PLAN_VERSION = 2
MANY = 100
"""A plan that ends more is carried out only by who says how many: about what a person still looks through."""

_Kind = TypeVar("_Kind", bound=Frozen)


class Header(Frozen):
    """What holds for a whole plan."""

    version: int
    environment: str
    made_at: datetime
    selection: str
    """What was asked for, in words."""
    reason: Reason
    note: str
    count: int
    signer: Withdrawn | None
    """The authority or station whose own certificate is taken back, too."""
    clusters: dict[str, str] = Field(default={})
    """Where that one is closed: cluster to the id of its CA certificate there, empty where it has none."""
    unreported: int = 0
    """How many identities are taken back that clusters list and no ledger holds."""

    @property
    def total(self) -> int:
        """How many identities are taken back."""
        return self.count + self.unreported


class Row(Frozen):
    """One identity to end."""

    issuance: int
    device: str
    fingerprint: str


@dataclass(frozen=True)
class Plan:
    """A whole plan."""

    header: Header
    rows: tuple[Row, ...]
    unreported: tuple[Unreported, ...]


def write_plan(path: Path, header: Header, found: Iterable[Standing], unreported: Iterable[Unreported] = ()) -> None:
    """Write the whole plan, or nothing."""
    rows = (Row(issuance=each.issuance, device=each.device, fingerprint=each.fingerprint) for each in found)
    lines = (each.model_dump_json() for each in (header, *rows, *unreported))
    write_durably(path, "\n".join(lines).encode() + b"\n")


def read_plan(path: Path) -> Plan:
    """A plan, checked whole; `RefusedError` names the line that is none."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise RefusedError(f"{path}: cannot be read ({error}); give a plan of `revocation plan`") from error
    header = _line(Header, path, 1, lines[0] if lines else "")
    if header.version != PLAN_VERSION:
        raise RefusedError(f"{path}: is a plan of version {header.version}, this program reads {PLAN_VERSION}")
    if header.total != len(lines) - 1:
        raise RefusedError(
            f"{path}: has {len(lines) - 1} identities and was made with {header.total}; make the plan anew"
        )
    numbered = list(enumerate(lines[1:], start=2))
    return Plan(
        header,
        tuple(_line(Row, path, number, line) for number, line in numbered[: header.count]),
        tuple(_unreported(path, number, line) for number, line in numbered[header.count :]),
    )


def _unreported(path: Path, number: int, text: str) -> Unreported:
    found = _line(Unreported, path, number, text)
    try:
        _ = found.entry
    except (KeyError, ValueError) as error:
        raise RefusedError(f"{path}:{number}: {error}; make the plan anew, and change nothing") from error
    return found


def _line(kind: type[_Kind], path: Path, number: int, text: str) -> _Kind:
    try:
        return kind.model_validate_json(text, strict=False)
    except ValidationError as error:
        raise RefusedError(f"{path}:{number}: is no line of a plan; make the plan anew, and change nothing") from error


def as_json(found: Iterable[Standing]) -> list[dict[str, str]]:
    """The identities for machines and tables."""
    return [
        {
            "device": each.device,
            "model": each.model,
            "authority": each.authority,
            "serial": each.serial,
            "issued_at": each.issued_at.replace(microsecond=0).isoformat(),
            "not_after": each.not_after.isoformat(),
            "fingerprint": each.fingerprint,
        }
        for each in found
    ]
