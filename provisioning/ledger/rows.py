"""Single rows of the ledger as values; reads only."""

import sqlite3
from dataclasses import dataclass
from typing import Any

from protocol.device_id import DeviceId
from provisioning.der import sequence
from provisioning.ledger.chain import Head
from provisioning.ledger.records import Identity, Prepared
from provisioning.ledger.schema import ENTRIES, beginning
from provisioning.ledger.times import from_microseconds

IDENTITY = "id, device, model, authority, serial, not_after, to_be_signed, tail, is_revoked"
"""The columns of the view `identity` that `as_identity` takes."""
_HEAD = " UNION ALL ".join(
    f"SELECT * FROM (SELECT number, hash FROM {table} ORDER BY number DESC LIMIT 1)"  # noqa: S608  # our own names
    for table in ENTRIES
)


@dataclass(frozen=True, slots=True)
class Latest:
    """The last identity that a device was given, or is being given."""

    number: int
    generation: int
    model: str
    authority: str
    key_hash: bytes
    is_ended: int
    """1 or 0."""


def as_identity(row: tuple[Any, ...]) -> Identity:
    """The identity in a row of `IDENTITY`."""
    issuance, device, model, authority, serial, not_after, to_be_signed, tail, is_revoked = row
    return Identity(
        issuance=issuance,
        device=DeviceId(device),
        model=model,
        authority=authority,
        serial=int.from_bytes(serial),
        not_after=from_microseconds(not_after),
        der=sequence(to_be_signed, tail),
        is_revoked=bool(is_revoked),
    )


def identity_of(connection: sqlite3.Connection, issuance: int) -> Identity | None:
    """The certificate of an issuance; None before it is signed."""
    row = connection.execute(f"SELECT {IDENTITY} FROM identity WHERE id = ?", (issuance,)).fetchone()  # noqa: S608  # our own names
    return None if row is None else as_identity(row)


def prepared_of(connection: sqlite3.Connection, issuance: int) -> Prepared:
    """The right to sign an issuance's bytes."""
    device, to_be_signed = connection.execute(
        "SELECT device, to_be_signed FROM issuance WHERE number = ?", (issuance,)
    ).fetchone()
    return Prepared(issuance, DeviceId(device), to_be_signed)


def latest_of(connection: sqlite3.Connection, device: DeviceId) -> Latest | None:
    """What a device was given last; None for a device that nobody ever asked for."""
    row = connection.execute(
        "SELECT number, generation, model, authority, key_hash, EXISTS ("
        "SELECT 1 FROM step WHERE step.issuance = issuance.number AND step IN ('revoked', 'retired')) "
        "FROM issuance WHERE device = ? ORDER BY generation DESC LIMIT 1",
        (device,),
    ).fetchone()
    return None if row is None else Latest(*row)


def device_with_key(connection: sqlite3.Connection, key_hash: bytes) -> DeviceId | None:
    """The one device that ever had this key."""
    row = connection.execute("SELECT device FROM issuance WHERE key_hash = ?", (key_hash,)).fetchone()
    return None if row is None else DeviceId(row[0])


def head_of(connection: sqlite3.Connection) -> Head:
    """The end of the chain."""
    row = max(connection.execute(_HEAD), default=None)
    return beginning(connection) if row is None else Head(*row)
