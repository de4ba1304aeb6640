"""What can only be said of the whole ledger: its file, its seals, and what was left unfinished."""

import sqlite3
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime

from provisioning.audit.findings import Finding, Kind
from provisioning.audit.segment import CLOCK_TOLERANCE
from provisioning.ledger.chain import Head
from provisioning.ledger.schema import ENTRIES, beginning, has_our_schema
from provisioning.ledger.seal import Counts, Seal, identity_of_ledger, seals
from provisioning.ledger.times import from_microseconds

_ENDED = "EXISTS (SELECT 1 FROM step WHERE step.issuance = issuance.number AND step IN ('revoked', 'retired'))"
_DOUBLE = """
SELECT number, device, generation FROM issuance WHERE number <= ?1 AND generation <> 1 AND NOT EXISTS (
    SELECT 1 FROM issuance AS older JOIN step ON step.issuance = older.number
    WHERE older.device = issuance.device AND older.generation = issuance.generation - 1
    AND step IN ('revoked', 'retired') AND step.number < issuance.number)
"""
_NOT_SIGNED = f"""
SELECT issuance.number, device FROM issuance LEFT JOIN certificate ON certificate.issuance = issuance.number
WHERE issuance.number <= ?1 AND certificate.number IS NULL AND NOT {_ENDED}
"""  # noqa: S608  # our own text
_NOT_DELIVERED = f"""
SELECT certificate.number, device FROM certificate JOIN issuance ON issuance.number = certificate.issuance
WHERE certificate.number <= ?1 AND NOT {_ENDED}
AND coalesce((SELECT through FROM step WHERE step = 'delivered' AND step.issuance <= issuance.number
    ORDER BY step.issuance DESC LIMIT 1), 0) < issuance.number
"""  # noqa: S608  # our own text


@dataclass(frozen=True, kw_only=True)
class Sealed:
    """What stations signed for."""

    seals: int
    last: Seal | None
    stations: frozenset[bytes]
    """Their public keys (SubjectPublicKeyInfo in DER), of seals that hold."""
    findings: tuple[Finding, ...]


def check_file(connection: sqlite3.Connection) -> Iterator[Finding]:
    """Whether SQLite finds the file sound and its rules in force: no key and no serial number is there twice."""
    if not has_our_schema(connection):
        text = "the file has other tables, indexes or triggers than a ledger is made with"
        yield Finding(kind=Kind.FILE, text=text)
    for (said,) in connection.execute("PRAGMA integrity_check"):
        if said != "ok":
            yield Finding(kind=Kind.FILE, text=f"SQLite says: {said}")


def check_devices(connection: sqlite3.Connection, head: Head, *, now: datetime) -> Iterator[Finding]:
    """At most one identity that stands a device, and nothing left unfinished."""
    for number, device, generation in connection.execute(_DOUBLE, (head.number,)):
        text = f"device {device}: identity {generation} began (entry {number}) while the one before it stood"
        yield Finding(kind=Kind.DOUBLE, number=number, device=device, text=text)
    for number, device in connection.execute(_NOT_SIGNED, (head.number,)):
        text = f"device {device}: prepared (entry {number}) and never signed; issue it again, or revoke it"
        yield Finding(kind=Kind.NOT_SIGNED, number=number, device=device, text=text)
    for number, device in connection.execute(_NOT_DELIVERED, (head.number,)):
        text = f"device {device}: signed (entry {number}) and never delivered; issue it again, or revoke it"
        yield Finding(kind=Kind.NOT_DELIVERED, number=number, device=device, text=text)
    for number, at in _times(connection, head):
        if from_microseconds(at) > now + CLOCK_TOLERANCE:
            text = f"entry {number} is of {from_microseconds(at):%Y-%m-%d %H:%M:%S} UTC, which is still to come"
            yield Finding(kind=Kind.CLOCK, number=number, text=text)


def check_seals(connection: sqlite3.Connection, head: Head, stations: Collection[bytes]) -> Sealed:
    """Every seal against the chain and the counts before it; `stations` are the keys that the auditor knows, if any."""
    findings: list[Finding] = []
    genuine: set[bytes] = set()
    count, counted_to, counts, last = 0, 0, Counts(issuances=0, certificates=0, steps=0), None
    ledger = identity_of_ledger(connection)
    for seal in seals(connection):
        if seal.number > head.number:
            break
        count += 1
        counts = _and_between(connection, counts, counted_to, seal.number)
        counted_to = seal.number

        def wrong(kind: Kind, what: str, number: int = seal.number) -> Finding:
            return Finding(kind=kind, number=number, text=f"seal {number}: {what}")

        before = _hash_of(connection, seal.number - 1)
        if before is None or not seal.is_genuine(ledger, before):
            findings.append(wrong(Kind.SEAL, "its signature does not hold over the entries before it"))
        elif stations and seal.public_key not in stations:
            findings.append(wrong(Kind.STATION, "signed by a key that is none of the stations' you named"))
        else:
            genuine.add(seal.public_key)
            last = seal
        if seal.counts != counts:
            findings.append(wrong(Kind.SEAL, f"counts {_shown(seal.counts)}, and there are {_shown(counts)}"))
    return Sealed(seals=count, last=last, stations=frozenset(genuine), findings=tuple(findings))


def _times(connection: sqlite3.Connection, head: Head) -> Iterator[tuple[int, int]]:
    """The last entry of each table, which suffices: that time goes on is asked entry by entry."""
    for table in ENTRIES:
        yield from connection.execute(
            f"SELECT number, at FROM {table} WHERE number <= ? ORDER BY number DESC LIMIT 1",  # noqa: S608  # our own names
            (head.number,),
        )


def _and_between(connection: sqlite3.Connection, counts: Counts, after: int, before: int) -> Counts:
    issuances, certificates, steps = (
        connection.execute(
            f"SELECT count(*) FROM {table} WHERE number > ? AND number < ?",  # noqa: S608  # our own names
            (after, before),
        ).fetchone()[0]
        for table in ("issuance", "certificate", "step")
    )
    return Counts(
        issuances=counts.issuances + issuances,
        certificates=counts.certificates + certificates,
        steps=counts.steps + steps,
    )


def _hash_of(connection: sqlite3.Connection, number: int) -> bytes | None:
    if number == 0:
        return beginning(connection).hash
    for table in ENTRIES:
        row = connection.execute(f"SELECT hash FROM {table} WHERE number = ?", (number,)).fetchone()  # noqa: S608  # our own names
        if row is not None:
            return bytes(row[0])
    return None


def _shown(counts: Counts) -> str:
    return f"{counts.issuances} issuances, {counts.certificates} certificates, {counts.steps} steps"
