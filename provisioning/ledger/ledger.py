"""The write side: the steps of an issuance, each one transaction, durable when the call returns."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from protocol.device_id import DeviceId
from provisioning.errors import RefusedError, StationError
from provisioning.ledger.records import Identity, Intent, Prepared, Reason, Step
from provisioning.ledger.rows import device_with_key, has_step, identity_of, prepared_of
from provisioning.ledger.schema import open_connection


@dataclass(frozen=True)
class Ledger:
    """An open ledger. Several stations may hold the same file; each transaction is whole."""

    connection: sqlite3.Connection

    @classmethod
    @contextmanager
    def open(cls, folder: Path, environment: str, *, create: bool = False) -> Iterator[Self]:
        """The ledger of `environment` in `folder`; `StationError` for whatever its file does not take."""
        try:
            with closing(open_connection(folder, environment, create=create)) as connection:
                yield cls(connection)
        except sqlite3.Error as error:
            raise StationError(f"{folder}: the ledger failed ({error}); what was acknowledged before stands") from error

    def find(self, device: DeviceId, key_hash: str, *, model: str, authority: str) -> Prepared | Identity | None:
        """What stands for this request already; `RefusedError` when it contradicts what stands."""
        row = self.connection.execute(
            "SELECT id, model, authority, key_hash FROM active JOIN issuance ON id = issuance WHERE active.device = ?",
            (device,),
        ).fetchone()
        if row is None:
            self._refuse_used_key(device, key_hash)
            return None
        issuance, known_model, known_authority, known_hash = row
        if known_hash != key_hash:
            raise RefusedError(
                f"device {device} has an identity with another key; retire that first, and say why: "
                f"python -m provisioning revoke --device {device} --reason superseded"
            )
        if (known_model, known_authority) != (model, authority):
            raise RefusedError(
                f"device {device} was issued as model {known_model} by {known_authority}, not as model {model} by "
                f"{authority}; ask for what was issued, or revoke it and begin with a new key"
            )
        return identity_of(self.connection, issuance) or prepared_of(self.connection, issuance)

    def prepare(self, intent: Intent, *, at: datetime) -> Prepared | Identity:
        """Reserve device and key and record the bytes to be signed; or return what another station was first with."""
        with self._transaction():
            standing = self.find(intent.device, intent.key_hash, model=intent.model, authority=intent.authority)
            if standing is not None:
                return standing
            issuance = self._reserve(intent)
            self._add_step(issuance, Step.RESERVED, at)
            self._add_step(issuance, Step.PREPARED, at)
        return Prepared(issuance=issuance, to_be_signed=intent.to_be_signed)

    def record(self, prepared: Prepared, certificate: x509.Certificate, *, at: datetime) -> Identity:
        """Keep the signed certificate and thereby spend `prepared`; the first one recorded is the certificate.

        Refused: bytes other than the prepared ones, and an identity revoked meanwhile.
        """
        with self._transaction():
            issuance = prepared.issuance
            if certificate.tbs_certificate_bytes != prepared_of(self.connection, issuance).to_be_signed:
                raise StationError("a certificate was signed that the ledger did not prepare; it is not recorded")
            if has_step(self.connection, issuance, Step.REVOKED):
                raise RefusedError("this identity was revoked before it was signed; issue again with a new key")
            self.connection.execute(
                "INSERT OR IGNORE INTO certificate (issuance, fingerprint, der) VALUES (?, ?, ?)",
                (issuance, certificate.fingerprint(hashes.SHA256()).hex(), certificate.public_bytes(Encoding.DER)),
            )
            self._add_step(issuance, Step.SIGNED, at)
            identity = identity_of(self.connection, issuance)
        if identity is None:
            raise StationError("the ledger does not hold what it was just given; stop, and check its disk")
        return identity

    def deliver(self, identity: Identity, *, at: datetime) -> None:
        """Note that the bundle is on the disk; `sync` uploads the identity from here on."""
        with self._transaction():
            self._add_step(identity.issuance, Step.DELIVERED, at)

    def revoke(self, device: DeviceId, reason: Reason, note: str, *, at: datetime) -> bool:
        """Take the device's identity back; False when it was before. `RefusedError` for a device never issued."""
        with self._transaction():
            row = self.connection.execute("SELECT issuance FROM active WHERE device = ?", (device,)).fetchone()
            if row is None:
                self._refuse_unknown(device)
                return False
            self._add_step(row[0], Step.REVOKED, at, f"{reason}: {note}" if note else reason)
            self.connection.execute("DELETE FROM active WHERE device = ?", (device,))
        return True

    def _reserve(self, intent: Intent) -> int:
        cursor = self.connection.execute(
            "INSERT INTO issuance (device, model, authority, key_hash, serial, not_before, not_after, to_be_signed) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                intent.device,
                intent.model,
                intent.authority,
                intent.key_hash,
                f"{intent.serial:x}",
                intent.not_before.isoformat(),
                intent.not_after.isoformat(),
                intent.to_be_signed,
            ),
        )
        issuance = cursor.lastrowid
        if issuance is None:
            raise StationError("the ledger gave no number to an issuance; stop, and check its disk")
        self.connection.execute("INSERT INTO active (device, issuance) VALUES (?, ?)", (intent.device, issuance))
        return issuance

    def _add_step(self, issuance: int, step: Step, at: datetime, note: str = "") -> None:
        self.connection.execute(
            "INSERT OR IGNORE INTO step (issuance, step, at, note) VALUES (?, ?, ?, ?)",
            (issuance, step, at.astimezone(UTC).isoformat(), note),
        )

    def _refuse_used_key(self, device: DeviceId, key_hash: str) -> None:
        owner = device_with_key(self.connection, key_hash)
        if owner == device:
            raise RefusedError(f"this key of device {device} was revoked; a new identity needs a new key")
        if owner is not None:
            raise RefusedError(f"this key belongs to device {owner}, and one key is one device; make a new key")

    def _refuse_unknown(self, device: DeviceId) -> None:
        if self.connection.execute("SELECT 1 FROM issuance WHERE device = ?", (device,)).fetchone() is None:
            raise RefusedError(
                f"device {device} is not in this ledger; `python -m provisioning ledger list` shows who is"
            )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """One transaction that excludes other writers from its first read on."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.connection.rollback()
            raise
        self.connection.commit()
