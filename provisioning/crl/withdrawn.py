"""Authorities and stations whose certificates are taken back: one file each, written once, kept for ever."""

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from provisioning.crl.entries import Revoked
from provisioning.durable import PUBLIC, create_durably, make_folder
from provisioning.errors import StationError
from provisioning.ledger.records import Reason
from stacks.environment import Frozen

WITHDRAWN_FOLDER = "withdrawn"
_NAME = re.compile(r"[a-z0-9-]+\.[0-9a-f]+\.json")


class Withdrawn(Frozen):
    """One certificate of an authority or a station that is not to be trusted any more."""

    name: str
    issuer: str
    """The authority that signed it, by its name in the stack, or `root`: whose list names it."""
    serial: str
    """Lower-case hex."""
    at: datetime
    not_after: datetime
    reason: Reason
    since: datetime | None = None
    """From when on what it signed is not to be trusted, if that is known to be earlier."""
    note: str = ""

    def revoked(self) -> Revoked:
        """What its issuer's list says of it."""
        return Revoked(serial=int(self.serial, 16), at=self.at, reason=self.reason, invalid_since=self.since)


def withdraw(factory: Path, withdrawn: Withdrawn) -> bool:
    """Put it on record; False when it was before, and that record stands."""
    folder = factory / WITHDRAWN_FOLDER
    make_folder(folder)
    path = folder / f"{withdrawn.name}.{withdrawn.serial}.json"
    return create_durably(path, withdrawn.model_dump_json(indent=2).encode() + b"\n", mode=PUBLIC)


def read_withdrawn(factory: Path) -> Iterator[Withdrawn]:
    """Every one on record, by name; `StationError` for a file that is none."""
    folder = factory / WITHDRAWN_FOLDER
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        if not _NAME.fullmatch(path.name):
            continue
        try:
            yield Withdrawn.model_validate_json(path.read_bytes(), strict=False)
        except (OSError, ValidationError) as error:
            raise StationError(f"{path}: cannot be read ({error}); restore it from its copy") from error
