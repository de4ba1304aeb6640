"""Single rows of the ledger as values; reads only."""

import sqlite3
from datetime import datetime

from protocol.device_id import DeviceId
from provisioning.ledger.records import Identity, Prepared, Step


def as_identity(row: tuple[int, str, str, str, str, str, bytes, int]) -> Identity:
    """The identity in a row of the view of that name."""
    issuance, device, model, authority, serial, not_after, der, is_revoked = row
    return Identity(
        issuance=issuance,
        device=DeviceId(device),
        model=model,
        authority=authority,
        serial=int(serial, 16),
        not_after=datetime.fromisoformat(not_after),
        der=der,
        is_revoked=bool(is_revoked),
    )


def identity_of(connection: sqlite3.Connection, issuance: int) -> Identity | None:
    """The certificate of an issuance; None before it is signed."""
    row = connection.execute(
        "SELECT id, device, model, authority, serial, not_after, der, is_revoked FROM identity WHERE id = ?",
        (issuance,),
    ).fetchone()
    return None if row is None else as_identity(row)


def prepared_of(connection: sqlite3.Connection, issuance: int) -> Prepared:
    """The right to sign an issuance's bytes."""
    (to_be_signed,) = connection.execute("SELECT to_be_signed FROM issuance WHERE id = ?", (issuance,)).fetchone()
    return Prepared(issuance=issuance, to_be_signed=to_be_signed)


def has_step(connection: sqlite3.Connection, issuance: int, step: Step) -> bool:
    """Whether an issuance has come to `step`."""
    found = connection.execute("SELECT 1 FROM step WHERE issuance = ? AND step = ?", (issuance, step)).fetchone()
    return found is not None


def device_with_key(connection: sqlite3.Connection, key_hash: str) -> DeviceId | None:
    """The one device that ever had this key."""
    row = connection.execute("SELECT device FROM issuance WHERE key_hash = ?", (key_hash,)).fetchone()
    return None if row is None else DeviceId(row[0])
