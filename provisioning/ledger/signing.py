"""The two steps around a signature: before it the intent, after it the certificate.

What can be made ready before a transaction is made ready before it, because it keeps other stations waiting.
"""

import hashlib
import sqlite3
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from provisioning.errors import RefusedError, StationError
from provisioning.ledger.chain import Column
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


class PreparedRow(NamedTuple):
    """What the ledger holds of an issuance that is about to have a certificate. It never changes."""

    number: int
    to_be_signed: bytes
    model: str
    authority: str
    serial: bytes
    not_after: int


def issuance_entry(intent: Intent, moment: int, *, generation: int = 1) -> tuple[Column, ...]:
    """An intent as an entry of the chain."""
    return (
        moment,
        intent.device,
        generation,
        intent.model,
        intent.authority,
        bytes.fromhex(intent.key_hash),
        intent.serial.to_bytes((intent.serial.bit_length() + 7) // 8),
        as_microseconds(intent.not_after),
        intent.to_be_signed,
    )


def prepare(
    connection: sqlite3.Connection,
    entries: Entries,
    intents: Sequence[Intent],
    ready: Sequence[tuple[Column, ...]],
    moment: int,
) -> list[int | Prepared | Identity | RefusedError]:
    """Add the intents, `ready` as entries: the number of each; or what stands for it, or why it contradicts that."""

    def otherwise(at: int) -> int | Prepared | Identity | RefusedError:
        try:
            return _standing_or_next(connection, entries, intents[at], moment)
        except RefusedError as error:
            return error

    return entries.add_each("issuance", ready, otherwise)


def prepared_rows(connection: sqlite3.Connection, issuances: Sequence[int]) -> Mapping[int, PreparedRow]:
    """What was prepared, by issuance. A batch's stand side by side."""
    rows: dict[int, PreparedRow] = {}
    for first, last in runs(issuances):
        rows.update((row[0], PreparedRow(*row)) for row in connection.execute(_PREPARED, (first, last)))
    return rows


def certificate_entry(signed: Signed, prepared: PreparedRow, moment: int) -> tuple[int, int, bytes, bytes]:
    """A certificate as an entry of the chain; `StationError` when it is of other bytes than the ledger prepared."""
    tail = signed.tail()
    if tail is None or signed.prepared.to_be_signed != prepared.to_be_signed:
        raise StationError(
            f"device {signed.prepared.device}: a certificate was signed that the ledger did not prepare; it is not "
            f"recorded"
        )
    return (moment, prepared.number, tail, hashlib.sha256(signed.der).digest())


def record(
    connection: sqlite3.Connection, entries: Entries, ready: Sequence[tuple[int, int, bytes, bytes]]
) -> list[int | Identity | RefusedError]:
    """Add the certificates, `ready` as entries: the number of each; or the one that was first, or why it is refused."""
    issuances = [issuance for _, issuance, _, _ in ready]
    ended = _ended(connection, issuances)
    standing = [entry for entry in ready if entry[1] not in ended]
    given = iter(entries.add_each("certificate", standing, lambda at: _first(connection, standing[at][1])))
    return [
        RefusedError("this identity was revoked before it was signed; issue again with a new key")
        if issuance in ended
        else next(given)
        for issuance in issuances
    ]


def recorded(signed: Signed, prepared: PreparedRow) -> Identity:
    """The identity, once its certificate is on the disk."""
    return Identity(
        issuance=prepared.number,
        device=signed.prepared.device,
        model=prepared.model,
        authority=prepared.authority,
        serial=int.from_bytes(prepared.serial),
        not_after=from_microseconds(prepared.not_after),
        der=signed.der,
    )


def _standing_or_next(
    connection: sqlite3.Connection, entries: Entries, intent: Intent, moment: int
) -> int | Prepared | Identity:
    key_hash = bytes.fromhex(intent.key_hash)
    standing = standing_for(connection, intent.device, key_hash, model=intent.model, authority=intent.authority)
    if standing is not None:
        return standing
    latest = latest_of(connection, intent.device)
    generation = 1 if latest is None else latest.generation + 1
    number = entries.add("issuance", *issuance_entry(intent, moment, generation=generation))
    if number is None:
        raise StationError(
            f"device {intent.device}: serial number {intent.serial:x} of {intent.authority} is taken, and it was "
            f"drawn at random; stop, and have this station's source of randomness looked at"
        )
    return number


def _ended(connection: sqlite3.Connection, issuances: Sequence[int]) -> frozenset[int]:
    return frozenset(
        issuance
        for first, last in runs(issuances)
        for step in ENDED
        for (issuance,) in connection.execute(_ENDED, (step.value, first, last))
    )


def _first(connection: sqlite3.Connection, issuance: int) -> Identity:
    first = identity_of(connection, issuance)
    if first is None:
        raise StationError(f"issuance {issuance}: the ledger gives its certificate back no more; check its disk")
    return first
