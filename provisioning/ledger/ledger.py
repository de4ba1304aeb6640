"""The write side: the steps of an issuance, each durable when the call returns.

Every step is there for one identity and for many. Many are one transaction, and one sync of the disk.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from protocol.device_id import DeviceId
from provisioning.errors import RefusedError, StationError, UnknownError
from provisioning.ledger.delivery import undelivered
from provisioning.ledger.entries import Entries
from provisioning.ledger.issued import Issued
from provisioning.ledger.log import Log
from provisioning.ledger.records import Identity, Intent, Prepared, Reason, Signed, Step
from provisioning.ledger.rows import latest_of
from provisioning.ledger.schema import open_connection
from provisioning.ledger.signing import certificate_entry, issuance_entry, prepare, prepared_rows, record, recorded
from provisioning.ledger.standing import standing_for
from provisioning.ledger.times import as_microseconds
from provisioning.ledger.turn import begin


@dataclass(frozen=True)
class Ledger:
    """An open ledger. Several stations may hold the same file; each transaction is whole.

    A call that fails leaves nothing of itself in the ledger. `StationError` names the device and means the machine.
    """

    connection: sqlite3.Connection
    _log: Log = field(repr=False)
    issued: Issued = field(repr=False)

    @classmethod
    @contextmanager
    def open(cls, folder: Path, environment: str, *, create: bool = False) -> Iterator[Self]:
        """The ledger of `environment` in `folder`, made if there is none and `create` says so, as whoever issues does.

        `StationError` for whatever its file does not take.
        """
        with failing(str(folder)), closing(open_connection(folder, environment, create=create)) as connection:
            log = Log(connection)
            if create:
                log.wake()
            yield cls(connection, log, Issued(connection))

    @property
    def name(self) -> str:
        """What no other ledger is called, given to it by chance when it was made."""
        (name,) = self.connection.execute("SELECT id FROM ledger").fetchone()
        return str(name)

    def find(self, device: DeviceId, key_hash: str, *, model: str, authority: str) -> Prepared | Identity | None:
        """What stands for this request already; `RefusedError` when it contradicts what stands."""
        with failing(f"device {device}"), self._one_moment():
            return standing_for(self.connection, device, bytes.fromhex(key_hash), model=model, authority=authority)

    def prepare(self, intent: Intent, *, at: datetime) -> Prepared | Identity:
        """Reserve device and key and record the bytes to be signed; or return what another station was first with."""
        (given,) = self.prepare_all([intent], at=at)
        if isinstance(given, RefusedError):
            raise given
        return given

    def prepare_all(self, intents: Sequence[Intent], *, at: datetime) -> list[Prepared | Identity | RefusedError]:
        """`prepare` for many, each as if it came alone and in this order; a refusal is given back, not raised."""
        moment = as_microseconds(at)
        ready = [issuance_entry(intent, moment) for intent in intents]
        with self.adding(_named([intent.device for intent in intents])) as entries:
            given = prepare(self.connection, entries, intents, ready, moment)
        return [
            Prepared(each, intent.device, intent.to_be_signed) if isinstance(each, int) else each
            for each, intent in zip(given, intents, strict=True)
        ]

    def record(
        self, prepared: Prepared, certificate: x509.Certificate, *, at: datetime, is_delivered: bool = False
    ) -> Identity:
        """Keep the signed certificate and thereby spend `prepared`; the first one recorded is the certificate.

        Refused: bytes other than the prepared ones, and an identity revoked meanwhile. `is_delivered`: whoever called
        hands it over by answering, so the delivery is of the same commit.
        """
        signed = [Signed(prepared, certificate.public_bytes(Encoding.DER))]
        (given,) = self.record_all(signed, at=at, is_delivered=is_delivered)
        if isinstance(given, RefusedError):
            raise given
        return given

    def record_all(
        self, signed: Sequence[Signed], *, at: datetime, is_delivered: bool = False
    ) -> list[Identity | RefusedError]:
        """`record` for many; `StationError`, and none is recorded, when one of them is not what was prepared."""
        moment, what = as_microseconds(at), _named([each.prepared.device for each in signed])
        issuances = [each.prepared.issuance for each in signed]
        with failing(what):
            rows = prepared_rows(self.connection, issuances)
        ready = [certificate_entry(each, rows[each.prepared.issuance], moment) for each in signed]
        with self.adding(what) as entries:
            given = record(self.connection, entries, ready)
            if is_delivered:
                answers = zip(issuances, given, strict=True)
                self._deliver(
                    entries, [issuance for issuance, each in answers if not isinstance(each, RefusedError)], moment
                )
        return [
            recorded(each, rows[each.prepared.issuance]) if isinstance(answer, int) else answer
            for each, answer in zip(signed, given, strict=True)
        ]

    def deliver(self, identity: Identity, *, at: datetime) -> None:
        """Note that the bundle is on the disk; `sync` uploads the identity from here on."""
        self.deliver_all([identity], at=at)

    def deliver_all(self, identities: Sequence[Identity], *, at: datetime) -> None:
        """`deliver` for many."""
        moment = as_microseconds(at)
        with self.adding(_named([identity.device for identity in identities])) as entries:
            self._deliver(entries, [identity.issuance for identity in identities], moment)
        self.rest()

    def _deliver(self, entries: Entries, issuances: Sequence[int], moment: int) -> None:
        for first, last in undelivered(self.connection, issuances):
            entries.add("step", moment, first, last, Step.DELIVERED.value, "", "")

    def register(self, identity: Identity, cluster: str, *, at: datetime) -> None:
        """Note that `cluster` registered the identity before its device came."""
        with self.adding(f"device {identity.device}") as entries:
            number = identity.issuance
            entries.add("step", as_microseconds(at), number, number, Step.REGISTERED.value, cluster, "")
        self.rest()

    def prove(self, identity: Identity, server_name: str, *, at: datetime) -> None:
        """Note that the identity was seen to connect, to this server. The first proof of each server counts."""
        with self.adding(f"device {identity.device}") as entries:
            number = identity.issuance
            entries.add("step", as_microseconds(at), number, number, Step.PROVEN.value, server_name, "")
        self.rest()

    def revoke(self, device: DeviceId, reason: Reason, note: str, *, at: datetime) -> bool:
        """Take the device's identity back; False when it was before. `UnknownError` for a device never issued."""
        return self._end(device, Step.REVOKED, f"{reason}: {note}" if note else reason.value, at)

    def retire(self, device: DeviceId, reason: Reason, note: str, *, at: datetime) -> bool:
        """End the device's identity in good order; otherwise as `revoke`."""
        return self._end(device, Step.RETIRED, f"{reason}: {note}" if note else reason.value, at)

    @contextmanager
    def adding(self, what: str) -> Iterator[Entries]:
        """One transaction that excludes other writers from its first read on; `what` names whose it is if it fails."""
        with failing(what):
            begin(self.connection)
            try:
                entries = Entries(self.connection)
                yield entries
                self.connection.commit()
            except BaseException:
                with suppress(sqlite3.Error):
                    self.connection.rollback()
                raise
        self._log.grown(entries.added)

    @contextmanager
    def _one_moment(self) -> Iterator[None]:
        """Several reads of the ledger as it is now, whatever another station adds meanwhile."""
        self.connection.execute("BEGIN")
        try:
            yield
        finally:
            self.connection.rollback()

    def rest(self) -> None:
        """Empty SQLite's log if it has grown long; for moments when nobody waits (`ledger.log`)."""
        with failing("the ledger"):
            self._log.rest()

    def _end(self, device: DeviceId, step: Step, note: str, at: datetime) -> bool:
        with self.adding(f"device {device}") as entries:
            latest = latest_of(self.connection, device)
            if latest is None:
                raise UnknownError(
                    f"device {device} is not in this ledger; `python -m provisioning ledger list` shows who is"
                )
            if latest.is_ended:
                return False
            entries.add("step", as_microseconds(at), latest.number, latest.number, step.value, "", note)
        self.rest()
        return True


def _named(devices: Sequence[DeviceId]) -> str:
    if len(devices) == 1:
        return f"device {devices[0]}"
    return f"{len(devices)} devices, {devices[0]} to {devices[-1]}" if devices else "no device"


@contextmanager
def failing(what: str) -> Iterator[None]:
    """Turn what SQLite says into `StationError`, with whose it was."""
    try:
        yield
    except sqlite3.Error as error:
        raise StationError(
            f"{what}: the ledger failed ({error}); what was acknowledged before stands, nothing of this was. "
            f"Check the disk, then run this again"
        ) from error
