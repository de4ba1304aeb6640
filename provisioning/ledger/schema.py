"""The ledger's file: SQLite with a write-ahead log and every commit on the disk before it returns.

What happened is only ever added: triggers refuse to change or delete it. `active` and `uploaded` are views of now, kept
by the same transactions. No private key is ever in it.
"""

import secrets
import sqlite3
from pathlib import Path

from provisioning.durable import make_folder, sync_folder
from provisioning.errors import StationError

LEDGER_FILE = "ledger.db"
VERSION = 1

_BUSY_SECONDS = 30.0
"""How long one station waits for another's transaction; each lasts milliseconds."""

_TABLES = """
CREATE TABLE ledger (environment TEXT NOT NULL) STRICT;
CREATE TABLE issuance (
    id INTEGER PRIMARY KEY,
    device TEXT NOT NULL,
    model TEXT NOT NULL,
    authority TEXT NOT NULL,
    key_hash TEXT NOT NULL UNIQUE, -- SHA-256 of the SubjectPublicKeyInfo: one device a key, for ever
    serial TEXT NOT NULL, -- lower-case hex
    not_before TEXT NOT NULL,
    not_after TEXT NOT NULL,
    to_be_signed BLOB NOT NULL, -- DER of the TBSCertificate: the only bytes this issuance may sign
    UNIQUE (authority, serial)
) STRICT;
CREATE INDEX issuance_of_device ON issuance (device);
CREATE TABLE active ( -- one identity a device
    device TEXT PRIMARY KEY,
    issuance INTEGER NOT NULL UNIQUE REFERENCES issuance
) STRICT, WITHOUT ROWID;
CREATE TABLE certificate ( -- one certificate an issuance
    issuance INTEGER PRIMARY KEY REFERENCES issuance,
    fingerprint TEXT NOT NULL UNIQUE,
    der BLOB NOT NULL
) STRICT;
CREATE TABLE step (
    issuance INTEGER NOT NULL REFERENCES issuance,
    step TEXT NOT NULL CHECK (step IN ('reserved', 'prepared', 'signed', 'delivered', 'revoked')),
    at TEXT NOT NULL,
    note TEXT NOT NULL,
    PRIMARY KEY (issuance, step)
) STRICT, WITHOUT ROWID;
CREATE TABLE uploaded ( -- what a cluster's manifest is known to hold
    issuance INTEGER NOT NULL REFERENCES issuance,
    manifest TEXT NOT NULL,
    standing TEXT NOT NULL,
    at TEXT NOT NULL,
    PRIMARY KEY (issuance, manifest)
) STRICT, WITHOUT ROWID;
CREATE VIEW identity AS -- certificates on record
    SELECT id, device, model, authority, serial, not_after, der,
        EXISTS (SELECT 1 FROM step WHERE step.issuance = id AND step = 'delivered') AS is_delivered,
        EXISTS (SELECT 1 FROM step WHERE step.issuance = id AND step = 'revoked') AS is_revoked
    FROM issuance JOIN certificate ON certificate.issuance = id;
"""
_NEVER_CHANGED = ("ledger", "issuance", "certificate", "step")


def open_connection(folder: Path, environment: str, *, create: bool) -> sqlite3.Connection:
    """A connection to the ledger in `folder`; `StationError` when it is missing or of another environment."""
    path = folder / LEDGER_FILE
    if not path.exists():
        if not create:
            raise StationError(f"{path}: there is no ledger; give the folder that `issue` was given as --factory")
        make_folder(folder, mode=0o700)
        _create(path, environment)
    connection = _connect(path)
    try:
        _prepare(connection)
        _check(connection, path, environment)
    except sqlite3.DatabaseError as error:
        connection.close()
        raise StationError(f"{path}: is no ledger or is damaged ({error}); restore it from its copy") from error
    except StationError:
        connection.close()
        raise
    return connection


def _create(path: Path, environment: str) -> None:
    """Make the whole file aside, then give it its name, so that nobody ever sees half a ledger."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    temporary.touch(mode=0o600, exist_ok=False)
    connection = _connect(temporary)
    try:
        _prepare(connection)
        connection.execute("PRAGMA journal_mode = WAL")
        frozen = "".join(
            f"CREATE TRIGGER {table}_is_never_{change}d BEFORE {change} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;\n"
            for table in _NEVER_CHANGED
            for change in ("update", "delete")
        )
        connection.executescript(f"BEGIN;\n{_TABLES}{frozen}PRAGMA user_version = {VERSION};\nCOMMIT;")
        connection.execute("INSERT INTO ledger (environment) VALUES (?)", (environment,))
    finally:
        connection.close()
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        pass  # another station was first; its ledger is as good
    finally:
        temporary.unlink()
    sync_folder(path.parent)


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)


def _prepare(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")


def _check(connection: sqlite3.Connection, path: Path, environment: str) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version != VERSION:
        raise StationError(f"{path}: is a ledger of version {version}, this program keeps version {VERSION}")
    (kept,) = connection.execute("SELECT environment FROM ledger").fetchone()
    if kept != environment:
        raise StationError(f"{path}: is the ledger of environment {kept}, not of {environment}; give that --factory")
