"""The station's signature under everything the ledger holds: at the end of a batch, a shift, a day.

The chain shows that nothing was changed since its last entry. A seal shows it to somebody who does not trust the disk:
whoever rewrites the chain needs the station's key too. With the key's public half it is verified years later.
"""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import cbor2
from cryptography.hazmat.primitives.serialization import load_der_public_key

from provisioning.algorithm import Algorithm, PublicKey, public_key_der
from provisioning.errors import StationError
from provisioning.ledger.ledger import Ledger
from provisioning.ledger.schema import VERSION
from provisioning.ledger.times import as_microseconds
from provisioning.signer import Signer


@dataclass(frozen=True, kw_only=True)
class Counts:
    """How many entries of each kind stand before a seal."""

    issuances: int
    certificates: int
    steps: int

    @classmethod
    def of(cls, connection: sqlite3.Connection) -> "Counts":
        """All of them, now."""
        tables = ("issuance", "certificate", "step")
        issuances, certificates, steps = (
            connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608  # our own names
            for table in tables
        )
        return cls(issuances=issuances, certificates=certificates, steps=steps)


@dataclass(frozen=True, kw_only=True)
class Seal:
    """An entry of its own in the chain; what it signs is everything before it."""

    number: int
    at: int
    """Microseconds since 1970-01-01 UTC."""
    about: str
    """What ended: a batch by its name and digest, a shift in somebody's words."""
    counts: Counts
    public_key: bytes
    """The station's SubjectPublicKeyInfo in DER."""
    signature: bytes

    def statement(self, ledger: tuple[str, str], before: bytes) -> bytes:
        """What is signed: a CBOR array. `ledger`: its environment and id; `before`: the hash of the entry before.

        It begins with a text, and so is never mistaken for anything else that a key signs: certificates and requests
        begin with the tag of a SEQUENCE.
        """
        return b"flotilla ledger seal\n" + cbor2.dumps(
            (
                VERSION,
                *ledger,
                self.number,
                before,
                self.at,
                self.about,
                self.counts.issuances,
                self.counts.certificates,
                self.counts.steps,
                self.public_key,
            )
        )

    def is_genuine(self, ledger: tuple[str, str], before: bytes) -> bool:
        """Whether the key it names signed it, over a chain that ended in `before`."""
        try:
            key = load_der_public_key(self.public_key)
            algorithm = Algorithm.of(key)
        except ValueError:
            return False
        return isinstance(key, PublicKey) and algorithm.is_signature(
            self.signature, self.statement(ledger, before), key
        )


def seal(ledger: Ledger, signer: Signer, about: str, *, at: datetime, has_own_words: bool = False) -> Seal:
    """Sign the ledger as it stands. What is sealed already and has not grown is not sealed again.

    `has_own_words`: unless that seal is about something else, such as a batch, and somebody says what ends now.
    """
    key = signer.public_key()
    with ledger.adding("the seal") as entries:
        last = last_seal(ledger.connection)
        is_sealed = last is not None and last.number == entries.head.number
        if last is not None and is_sealed and (last.about == about or not has_own_words):
            return last
        unsigned = Seal(
            number=entries.head.number + 1,
            at=as_microseconds(at),
            about=about,
            counts=Counts.of(ledger.connection),
            public_key=public_key_der(key),
            signature=b"",
        )
        statement = unsigned.statement(identity_of_ledger(ledger.connection), entries.head.hash)
        signature = signer.sign(statement)
        if not Algorithm.of(key).is_signature(signature, statement, key):
            raise StationError("the station's signer gave a signature that its own key does not verify; try again")
        counts = unsigned.counts
        entries.add(
            "seal",
            unsigned.at,
            about,
            counts.issuances,
            counts.certificates,
            counts.steps,
            unsigned.public_key,
            signature,
        )
    ledger.rest()
    sealed = last_seal(ledger.connection)
    if sealed is None:
        raise StationError("the ledger does not hold the seal it was just given; stop, and check its disk")
    return sealed


def seals(connection: sqlite3.Connection) -> Iterator[Seal]:
    """Every seal, the oldest first."""
    for row in connection.execute("SELECT * FROM seal ORDER BY number"):
        yield _as_seal(row)


def last_seal(connection: sqlite3.Connection) -> Seal | None:
    """The newest seal."""
    row = connection.execute("SELECT * FROM seal ORDER BY number DESC LIMIT 1").fetchone()
    return None if row is None else _as_seal(row)


def identity_of_ledger(connection: sqlite3.Connection) -> tuple[str, str]:
    """Its environment and its id."""
    environment, name = connection.execute("SELECT environment, id FROM ledger").fetchone()
    return environment, name


def _as_seal(row: tuple[int, int, str, int, int, int, bytes, bytes, bytes]) -> Seal:
    number, at, about, issuances, certificates, steps, public_key, signature, _ = row
    return Seal(
        number=number,
        at=at,
        about=about,
        counts=Counts(issuances=issuances, certificates=certificates, steps=steps),
        public_key=public_key,
        signature=signature,
    )
