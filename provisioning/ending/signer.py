"""An authority or a station that is to be taken back itself: what its issuer's next list says of it."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from provisioning.authority import read_certificate
from provisioning.crl.withdrawn import Withdrawn
from provisioning.errors import RefusedError
from provisioning.factory_file import FactoryFile
from provisioning.ledger.records import Reason


@dataclass(frozen=True, kw_only=True)
class Why:
    """What holds for all that is taken back."""

    reason: Reason
    since: datetime | None
    """From when on the key is not to be trusted."""
    note: str


def withdrawal_of(name: str, why: Why, plan: FactoryFile, folder: Path, *, now: datetime) -> Withdrawn:
    """The record, from the certificate in `folder`; `RefusedError` where there is none."""
    known = (*plan.authorities, *plan.stations)
    if name not in known:
        raise RefusedError(
            f"--authority: factory {plan.environment} has no authority or station {name!r}; it has {', '.join(known)}"
        )
    certificate = read_certificate(path := folder / f"{name}.pem")
    if certificate is None:
        raise RefusedError(f"{path}: is not there, so nobody knows its serial number; give --authorities")
    return Withdrawn(
        name=name,
        issuer=plan.issuer_of(name),
        serial=f"{certificate.serial_number:x}",
        at=now,
        not_after=certificate.not_valid_after_utc,
        reason=why.reason,
        since=why.since,
        note=why.note,
    )
