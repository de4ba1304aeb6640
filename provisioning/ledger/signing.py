"""The two steps around a signature, inside a transaction: before it the intent, after it the certificate."""

import hashlib
import sqlite3

from provisioning.errors import RefusedError, StationError
from provisioning.ledger.entries import Entries
from provisioning.ledger.records import Identity, Intent, Prepared, Signed
from provisioning.ledger.rows import IDENTITY, as_identity, latest_of
from provisioning.ledger.standing import standing_for
from provisioning.ledger.times import as_microseconds


def prepare(connection: sqlite3.Connection, entries: Entries, intent: Intent, moment: int) -> Prepared | Identity:
    """Add the intent, or give what stands; `RefusedError` when it contradicts what stands."""
    key_hash = bytes.fromhex(intent.key_hash)
    number = _reserve(entries, intent, key_hash, moment, generation=1)
    if number is None:
        standing = standing_for(connection, intent.device, key_hash, model=intent.model, authority=intent.authority)
        if standing is not None:
            return standing
        latest = latest_of(connection, intent.device)
        generation = 1 if latest is None else latest.generation + 1
        number = _reserve(entries, intent, key_hash, moment, generation=generation)
        if number is None:
            raise StationError(
                f"device {intent.device}: serial number {intent.serial:x} of {intent.authority} is taken, and it was "
                f"drawn at random; stop, and have this station's source of randomness looked at"
            )
    return Prepared(number, intent.device, intent.to_be_signed)


def record(connection: sqlite3.Connection, entries: Entries, signed: Signed, moment: int) -> Identity:
    """Add the certificate, or give the one that was first; `RefusedError` when its identity has ended meanwhile."""
    issuance = signed.prepared.issuance
    to_be_signed, is_ended = connection.execute(
        "SELECT to_be_signed, EXISTS (SELECT 1 FROM step WHERE step.issuance = ?1 AND step IN ('revoked', 'retired')) "
        "FROM issuance WHERE number = ?1",
        (issuance,),
    ).fetchone()
    tail = signed.tail()
    if tail is None or signed.prepared.to_be_signed != to_be_signed:
        raise StationError(
            f"device {signed.prepared.device}: a certificate was signed that the ledger did not prepare; it is not "
            f"recorded"
        )
    if is_ended:
        raise RefusedError("this identity was revoked before it was signed; issue again with a new key")
    entries.add("certificate", moment, issuance, tail, hashlib.sha256(signed.der).digest())
    return as_identity(
        connection.execute(f"SELECT {IDENTITY} FROM identity WHERE id = ?", (issuance,)).fetchone()  # noqa: S608  # our own names
    )


def _reserve(entries: Entries, intent: Intent, key_hash: bytes, moment: int, *, generation: int) -> int | None:
    return entries.add(
        "issuance",
        moment,
        intent.device,
        generation,
        intent.model,
        intent.authority,
        key_hash,
        intent.serial.to_bytes((intent.serial.bit_length() + 7) // 8),
        as_microseconds(intent.not_after),
        intent.to_be_signed,
    )
