"""Factories that are broken on purpose: the judge must reject each, and by which rule.

A variant is called in the child before the command, and gives what the child does when the command has ended.
"""

import sqlite3
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

import provisioning.durable
import provisioning.hand_over
import provisioning.key_file
import provisioning.ledger.schema
import provisioning.station
from provisioning.certify import certify
from provisioning.draft import draft
from provisioning.durable import PUBLIC
from provisioning.ledger.ledger import Ledger
from provisioning.ledger.records import Identity, Prepared

Afterwards = Callable[[], None]


def _nothing() -> None:
    """A sound factory has nothing left to do once it has answered."""


def _put(owner: object, name: str, replacement: object) -> None:
    """In this process alone, which ends with its command."""
    setattr(owner, name, replacement)


def _sound() -> Afterwards:
    return _nothing


def _hasty() -> Afterwards:
    """Acknowledges before the commit: certificate and delivery are recorded when the answer is out."""
    late: list[tuple[Path, Prepared, x509.Certificate, datetime]] = []

    def issue(
        request: Any, authority: Any, ledger: Ledger, *, profile: Any, clock: Any, new_serial: Any, **_named: Any
    ) -> Identity:
        now = clock()
        intent = draft(request, authority.template, profile=profile, now=now, serial=new_serial())
        prepared = ledger.prepare(intent, at=now)
        assert isinstance(prepared, Prepared)
        certificate = certify(prepared.to_be_signed, authority.signer)
        (_, _, file) = ledger.connection.execute("PRAGMA database_list").fetchone()
        late.append((Path(file).parent, prepared, certificate, now))
        return Identity(
            issuance=prepared.issuance,
            device=intent.device,
            model=intent.model,
            authority=intent.authority,
            serial=intent.serial,
            not_after=intent.not_after,
            der=certificate.public_bytes(Encoding.DER),
        )

    def afterwards() -> None:
        for folder, prepared, certificate, now in late:
            with Ledger.open(folder, "dev") as ledger:
                deliver(ledger, ledger.record(prepared, certificate, at=now), at=now)

    deliver = Ledger.deliver
    _put(provisioning.station, "issue", issue)
    _put(Ledger, "deliver", lambda *_arguments, **_named: None)
    return afterwards


def _unsynchronized() -> Afterwards:
    """Believes what the kernel took to be on the disk: `synchronous=OFF`."""
    prepare = provisioning.ledger.schema._prepare

    def carelessly(connection: sqlite3.Connection) -> None:
        prepare(connection)
        connection.execute("PRAGMA synchronous = OFF")

    _put(provisioning.ledger.schema, "_prepare", carelessly)
    return _nothing


def _in_place() -> Afterwards:
    """Rewrites files where they stand: no copy aside, no sync, no rename."""

    def write(path: Path, data: bytes, *, mode: int = PUBLIC) -> bool:
        path.touch(mode=mode)
        path.write_bytes(data)
        return True

    _put(provisioning.hand_over, "write_durably", write)
    _put(provisioning.key_file, "create_durably", write)
    return _nothing


def _unsettled() -> Afterwards:
    """Renames a file before its bytes are on the disk."""

    def temporary(path: Path, data: bytes, mode: int) -> Path:
        aside = path.with_name(f".{path.name}.tmp")
        aside.touch(mode=mode)
        aside.write_bytes(data)
        return aside

    _put(provisioning.durable, "_temporary", temporary)
    return _nothing


def _nameless() -> Afterwards:
    """Leaves names to the kernel: no folder is ever synced."""
    _put(provisioning.durable, "sync_folder", lambda _folder: None)
    return _nothing


VARIANTS: dict[str, Callable[[], Afterwards]] = {
    "sound": _sound,
    "hasty": _hasty,
    "unsynchronized": _unsynchronized,
    "in place": _in_place,
    "unsettled": _unsettled,
    "nameless": _nameless,
}
