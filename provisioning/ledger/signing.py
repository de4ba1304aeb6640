"""The two steps around a signature, inside a transaction: before it the intent, after it the certificate."""

import hashlib
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from provisioning.errors import RefusedError, StationError
from provisioning.ledger.delivery import runs
from provisioning.ledger.entries import Entries
from provisioning.ledger.records import ENDED, Identity, Intent, Prepared, Signed
from provisioning.ledger.rows import identity_of, latest_of
from provisioning.ledger.standing import standing_for
from provisioning.ledger.times import as_microseconds, from_microseconds

_PREPARED = (
    "SELECT number, to_be_signed, model, authority, serial, not_after FROM issuance WHERE number BETWEEN ? AND ?"
)
_ENDED = "SELECT issuance FROM step WHERE step = ? AND issuance BETWEEN ? AND ?"


@dataclass(frozen=True, slots=True)
class PreparedRow:
    """What the ledger holds of an issuance that is about to have a certificate."""

    to_be_signed: bytes
    model: str
    authority: str
    serial: bytes
    not_after: int


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


def prepared_rows(connection: sqlite3.Connection, issuances: Sequence[int]) -> Mapping[int, PreparedRow | None]:
    """What was prepared, by issuance; None for one that has ended meanwhile. A batch's stand side by side."""
    rows: dict[int, PreparedRow | None] = {}
    for first, last in runs(issuances):
        rows.update((row[0], PreparedRow(*row[1:])) for row in connection.execute(_PREPARED, (first, last)))
        for step in ENDED:
            rows.update((issuance, None) for (issuance,) in connection.execute(_ENDED, (step.value, first, last)))
    return rows


def record(
    connection: sqlite3.Connection,
    entries: Entries,
    signed: Signed,
    prepared: Mapping[int, PreparedRow | None],
    moment: int,
) -> Identity:
    """Add the certificate, or give the one that was first; `RefusedError` when its identity has ended meanwhile."""
    issuance, device = signed.prepared.issuance, signed.prepared.device
    row = prepared[issuance]
    if row is None:
        raise RefusedError("this identity was revoked before it was signed; issue again with a new key")
    tail = signed.tail()
    if tail is None or signed.prepared.to_be_signed != row.to_be_signed:
        raise StationError(
            f"device {device}: a certificate was signed that the ledger did not prepare; it is not recorded"
        )
    if entries.add("certificate", moment, issuance, tail, hashlib.sha256(signed.der).digest()) is None:
        first = identity_of(connection, issuance)
        if first is None:
            raise StationError(f"device {device}: the ledger gives its certificate back no more; check its disk")
        return first
    return Identity(
        issuance=issuance,
        device=device,
        model=row.model,
        authority=row.authority,
        serial=int.from_bytes(row.serial),
        not_after=from_microseconds(row.not_after),
        der=signed.der,
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
