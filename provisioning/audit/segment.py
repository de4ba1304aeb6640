"""A stretch of the chain: does each entry follow from the one before, and is each certificate what was prepared.

Stretches are independent, because every entry carries its hash: each process takes one after another.
"""

import hashlib
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509.oid import NameOID

from provisioning.algorithm import PublicKey, public_key_der
from provisioning.audit.findings import Finding, Kind
from provisioning.audit.leases import Right, Tally, tally
from provisioning.audit.plain import is_plainly_of
from provisioning.der import sequence
from provisioning.ledger.chain import link
from provisioning.ledger.schema import ENTRIES, beginning
from provisioning.ledger.times import as_microseconds, from_microseconds

CLOCK_TOLERANCE = timedelta(minutes=1)
"""Stations that share a ledger write in the order they get hold of it, which may take as long as SQLite's patience of
30 seconds, with times taken before."""

_CERTIFICATES = """
SELECT certificate.number, tail, fingerprint, issuance, device, authority, key_hash, serial, not_after, to_be_signed
FROM certificate LEFT JOIN issuance ON issuance.number = certificate.issuance
WHERE certificate.number BETWEEN ? AND ?
"""
_STEPS = """
SELECT step.number, step, step.issuance, through, device, (SELECT count(*) FROM certificate
    WHERE certificate.issuance BETWEEN step.issuance AND through AND certificate.number < step.number)
FROM step LEFT JOIN issuance ON issuance.number = step.issuance WHERE step.number BETWEEN ? AND ?
"""


@dataclass(frozen=True)
class Segment:
    """The entries from `first` to `last`, both counted."""

    first: int
    last: int


@dataclass(frozen=True, kw_only=True)
class Issuers:
    """Who signed."""

    certificates: Mapping[str, x509.Certificate]
    vendors: frozenset[str]
    """Authorities whose certificates call a device by a name of their own."""
    rights: Mapping[str, Right]
    """What each may sign."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Whose signatures are verified: of every `share`-th issuance, beginning at `offset`. One of one is all."""

    share: int
    offset: int

    def takes(self, issuance: int) -> bool:
        """Whether this one is verified."""
        return issuance % self.share == self.offset


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What a stretch holds."""

    entries: int
    certificates: int
    verified: int
    """Signatures of authorities."""
    findings: tuple[Finding, ...]
    unknown: frozenset[str]
    """Authorities without a certificate to verify with."""
    tallies: Mapping[str, Tally]
    """By signer, what it did against what it may."""


def check_segment(
    connection: sqlite3.Connection,
    segment: Segment,
    issuers: Issuers,
    sample: Sample,
) -> Checked:
    """Everything that can be said of a stretch alone."""
    rows = {table: _rows(connection, table, segment) for table in ENTRIES}
    findings = [*_links(connection, segment, rows), *_steps(connection, segment)]
    verified = 0
    unknown: set[str] = set()
    certificates = connection.execute(_CERTIFICATES, (segment.first, segment.last)).fetchall()
    for row in certificates:
        issuance, authority = row[3], row[5]
        wrong, certificate = _contents(row, is_named_by_vendor=authority in issuers.vendors)
        issuer = issuers.certificates.get(authority)
        if issuer is None:
            unknown.add(str(authority))
        elif certificate is not None and sample.takes(issuance):
            verified += 1
            wrong += _signature(row, certificate, issuer)
        findings += wrong
    return Checked(
        entries=sum(map(len, rows.values())),
        certificates=len(certificates),
        verified=verified,
        findings=tuple(findings),
        unknown=frozenset(unknown),
        tallies=tally(rows["issuance"], issuers.rights),
    )


def _rows(connection: sqlite3.Connection, table: str, segment: Segment) -> list[tuple[Any, ...]]:
    return connection.execute(
        f"SELECT * FROM {table} WHERE number BETWEEN ? AND ?",  # noqa: S608  # our own names
        (segment.first, segment.last),
    ).fetchall()


def _links(
    connection: sqlite3.Connection, segment: Segment, rows: Mapping[str, list[tuple[Any, ...]]]
) -> Iterator[Finding]:
    """Every number once, each after the one before, in time too."""
    entries: dict[int, tuple[str, tuple[Any, ...]]] = {}
    for table, found in rows.items():
        for row in found:
            if row[0] in entries:
                yield Finding(kind=Kind.GAP, number=row[0], text=f"entry {row[0]} is there twice")
            entries[row[0]] = (table, row)
    before, at_before = _before(connection, segment.first)
    tolerance = CLOCK_TOLERANCE // timedelta(microseconds=1)
    for number in range(segment.first, segment.last + 1):
        if number not in entries:
            yield Finding(kind=Kind.GAP, number=number, text=f"entry {number} is not there")
            before = None
            continue
        table, row = entries[number]
        at, columns, digest = row[1], row[1:-1], row[-1]
        if before is not None and link(before, table, number, columns) != digest:
            yield Finding(
                kind=Kind.CHAIN,
                number=number,
                text=f"entry {number} ({table}) does not follow from entry {number - 1} and what it says",
            )
        if at < at_before - tolerance:
            yield Finding(
                kind=Kind.CLOCK,
                number=number,
                text=f"entry {number} is of {from_microseconds(at):%Y-%m-%d %H:%M:%S} UTC, and the one before it of "
                f"{from_microseconds(at_before):%Y-%m-%d %H:%M:%S}: the station's clock went back",
            )
        before, at_before = digest, at


def _before(connection: sqlite3.Connection, first: int) -> tuple[bytes | None, int]:
    """Hash and time of the entry before a stretch; no hash if it is missing, which its own stretch reports."""
    if first == 1:
        return beginning(connection).hash, 0
    for table in ENTRIES:
        row = connection.execute(f"SELECT hash, at FROM {table} WHERE number = ?", (first - 1,)).fetchone()  # noqa: S608  # our own names
        if row is not None:
            return bytes(row[0]), int(row[1])
    return None, 0


def _steps(connection: sqlite3.Connection, segment: Segment) -> Iterator[Finding]:
    """A step belongs to an issuance before it, and handing over to a certificate before it."""
    steps = connection.execute(_STEPS, (segment.first, segment.last))
    for number, step, issuance, through, device, certificates in steps:
        if device is None:
            text = f"entry {number} ({step}) is of issuance {issuance}, which is not there"
            yield Finding(kind=Kind.GAP, number=number, text=text)
        elif step in ("delivered", "registered") and certificates != through - issuance + 1:
            others = f" and up to {through - issuance} after it" if through > issuance else ""
            text = f"device {device}{others}: {step} (entry {number}) before it was signed"
            yield Finding(kind=Kind.CERTIFICATE, number=number, device=device, text=text)


def _contents(row: tuple[Any, ...], *, is_named_by_vendor: bool) -> tuple[list[Finding], x509.Certificate | None]:
    """Whether a certificate is what was prepared and what the ledger says of it."""
    number, tail, fingerprint, issuance, device, _, key_hash, serial, not_after, to_be_signed = row
    if device is None:
        text = f"entry {number} is a certificate of issuance {issuance}, which is not there"
        return [Finding(kind=Kind.GAP, number=number, text=text)], None

    def wrong(what: str) -> Finding:
        return Finding(kind=Kind.CERTIFICATE, number=number, device=device, text=f"device {device}: {what}")

    found = []
    if issuance > number:
        found.append(wrong(f"signed (entry {number}) before it was prepared (entry {issuance})"))
    der = sequence(to_be_signed, tail)
    if hashlib.sha256(der).digest() != fingerprint:
        found.append(wrong("its certificate has another fingerprint than the ledger says"))
    try:
        certificate = x509.load_der_x509_certificate(der)
        key, is_plain = certificate.public_key(), is_plainly_of(to_be_signed, device, key_hash)
        if not isinstance(key, PublicKey) or not (is_plain or hashlib.sha256(public_key_der(key)).digest() == key_hash):
            found.append(wrong("its certificate has another key than the ledger says"))
        if certificate.serial_number != int.from_bytes(serial):
            found.append(wrong("its certificate has another serial number than the ledger says"))
        if as_microseconds(certificate.not_valid_after_utc) < not_after:
            found.append(wrong("its certificate ends before the ledger says"))
        if not (is_plain or is_named_by_vendor or _names(certificate) == [device]):
            found.append(wrong("its certificate names another device"))
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        found.append(wrong(f"what was signed is no certificate ({error})"))
        return found, None
    return found, certificate


def _names(certificate: x509.Certificate) -> list[str | bytes]:
    return [name.value for name in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]


def _signature(row: tuple[Any, ...], certificate: x509.Certificate, issuer: x509.Certificate) -> list[Finding]:
    number, device, authority = row[0], row[4], row[5]
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        text = f"device {device}: its certificate is not signed by authority {authority}"
        return [Finding(kind=Kind.SIGNATURE, number=number, device=device, text=text)]
    return []
