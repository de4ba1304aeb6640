"""The ledger's file: SQLite with a write-ahead log and every commit on the disk before it returns.

What happened is only ever added: triggers refuse to change or delete it, and every entry is a link of one chain
(`ledger.chain`) across the four tables of entries, numbered from 1 without a gap. `uploaded` alone is a memory, kept
for `sync`. No private key is ever in it. An issuance is three rows, two in a batch, with few indexes: each further one
costs.
"""

import secrets
import sqlite3
from contextlib import closing
from pathlib import Path

from provisioning.durable import make_folder, sync_folder
from provisioning.errors import StationError
from provisioning.ledger.chain import Head

LEDGER_FILE = "ledger.db"
VERSION = 2

BUSY_SECONDS = 30.0
"""How long one station waits for another's transaction; each lasts milliseconds."""
_CACHE_KIBIBYTES = 16_384
"""Of SQLite's pages, in each process. More helps little: each forgets its own when another wrote."""

_TABLES = """
CREATE TABLE ledger (
    environment TEXT NOT NULL,
    id TEXT NOT NULL -- 128 random bits: a copy is the same ledger, another ledger never is
) STRICT;
CREATE TABLE issuance ( -- reserved and prepared, in one step
    number INTEGER PRIMARY KEY,
    at INTEGER NOT NULL, -- microseconds since 1970-01-01 UTC, as every time here
    device TEXT NOT NULL,
    generation INTEGER NOT NULL, -- 1 for the device's first identity
    model TEXT NOT NULL,
    authority TEXT NOT NULL,
    key_hash BLOB NOT NULL UNIQUE, -- SHA-256 of the SubjectPublicKeyInfo: one device a key, for ever
    serial BLOB NOT NULL, -- big-endian, without leading zeros
    not_after INTEGER NOT NULL,
    to_be_signed BLOB NOT NULL, -- DER of the TBSCertificate: the only bytes this issuance may sign
    hash BLOB NOT NULL,
    UNIQUE (device, generation),
    UNIQUE (serial, authority)
) STRICT;
CREATE TRIGGER one_identity_a_device BEFORE INSERT ON issuance WHEN NEW.generation <> 1 AND NOT EXISTS (
    SELECT 1 FROM issuance JOIN step ON step.issuance = issuance.number
    WHERE device = NEW.device AND generation = NEW.generation - 1 AND step IN ('revoked', 'retired')
) BEGIN SELECT RAISE(ABORT, 'the identity before has not ended'); END;
CREATE TABLE certificate ( -- signed: one certificate an issuance
    number INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    issuance INTEGER NOT NULL UNIQUE REFERENCES issuance,
    tail BLOB NOT NULL, -- what follows to_be_signed in the certificate: algorithm and signature, in DER
    fingerprint BLOB NOT NULL, -- SHA-256 of the certificate
    hash BLOB NOT NULL
) STRICT;
CREATE TABLE step (
    number INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    issuance INTEGER NOT NULL REFERENCES issuance,
    through INTEGER NOT NULL REFERENCES issuance CHECK (through >= issuance),
    -- the last issuance of the step: another than the first only where a batch delivered all between
    step TEXT NOT NULL CHECK (step IN ('delivered', 'registered', 'proven', 'revoked', 'retired')),
    place TEXT NOT NULL, -- the cluster of a registration, the server name of a proof
    note TEXT NOT NULL,
    hash BLOB NOT NULL,
    UNIQUE (step, issuance, place)
) STRICT;
CREATE TABLE seal ( -- signed by the station at the end of each batch, see ledger.seal
    number INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    about TEXT NOT NULL,
    issuances INTEGER NOT NULL, -- how many there were, as of the certificates and the steps
    certificates INTEGER NOT NULL,
    steps INTEGER NOT NULL,
    public_key BLOB NOT NULL, -- SubjectPublicKeyInfo in DER
    signature BLOB NOT NULL,
    hash BLOB NOT NULL
) STRICT;
CREATE TABLE uploaded ( -- what a cluster's manifest is known to hold
    issuance INTEGER NOT NULL REFERENCES issuance,
    manifest TEXT NOT NULL,
    standing TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (issuance, manifest)
) STRICT, WITHOUT ROWID;
CREATE VIEW identity AS -- certificates on record
    SELECT issuance.number AS id, device, model, authority, serial, not_after, to_be_signed, tail, fingerprint,
        coalesce((SELECT through FROM step WHERE step = 'delivered' AND step.issuance <= issuance.number
            ORDER BY step.issuance DESC LIMIT 1), 0) >= issuance.number AS is_delivered,
        EXISTS (SELECT 1 FROM step WHERE step.issuance = issuance.number AND step IN ('revoked', 'retired'))
            AS is_revoked
    FROM issuance JOIN certificate ON certificate.issuance = issuance.number;
"""
ENTRIES = ("issuance", "certificate", "step", "seal")
"""The tables whose rows are the chain's entries: `number` first, `hash` last."""
_FROZEN = "".join(
    f"CREATE TRIGGER {table}_is_never_{change}d BEFORE {change} ON {table} "
    f"BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;\n"
    for table in ("ledger", *ENTRIES)
    for change in ("update", "delete")
)


def open_connection(folder: Path, environment: str, *, create: bool) -> sqlite3.Connection:
    """A connection to the ledger in `folder`; `StationError` when it is missing or of another environment."""
    path = folder / LEDGER_FILE
    if not path.exists():
        if not create:
            raise StationError(f"{path}: there is no ledger; give the folder that `issue` was given as --factory")
        make_folder(folder, mode=0o700)
        _create(path, environment)
    if create:
        _clear(path)
    connection = _connect(path)
    try:
        _prepare(connection)
        _check(connection, path, environment)
    except sqlite3.OperationalError as error:
        connection.close()
        raise StationError(f"{path}: the ledger cannot be opened ({error}); check the disk, then try again") from error
    except sqlite3.DatabaseError as error:
        connection.close()
        raise StationError(f"{path}: is no ledger or is damaged ({error}); restore it from its copy") from error
    except StationError:
        connection.close()
        raise
    return connection


def wait_at_most(connection: sqlite3.Connection, seconds: float) -> None:
    """How long this connection waits for others from here on."""
    connection.execute(f"PRAGMA busy_timeout = {round(seconds * 1000)}")


def beginning(connection: sqlite3.Connection) -> Head:
    """Where this ledger's chain begins."""
    environment, name = connection.execute("SELECT environment, id FROM ledger").fetchone()
    return Head.of_nothing(version=VERSION, ledger=name, environment=environment)


def has_our_schema(connection: sqlite3.Connection) -> bool:
    """Whether tables, indexes and triggers are those that a new ledger gets: the rules that the file itself holds."""
    with closing(sqlite3.connect(":memory:")) as fresh:
        fresh.executescript(f"{_TABLES}{_FROZEN}")
        asked = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name"
        return connection.execute(asked).fetchall() == fresh.execute(asked).fetchall()


def _create(path: Path, environment: str) -> None:
    """Make the whole file aside, then give it its name, so that nobody ever sees half a ledger.

    Its log begins when all else is in the file: what stands in a log on a full disk does not come with the name.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    temporary.touch(mode=0o600, exist_ok=False)
    connection = _connect(temporary)
    try:
        _prepare(connection)
        connection.executescript(f"BEGIN;\n{_TABLES}{_FROZEN}PRAGMA user_version = {VERSION};\nCOMMIT;")
        connection.execute("INSERT INTO ledger VALUES (?, ?)", (environment, secrets.token_hex(16)))
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise sqlite3.OperationalError(f"its journal stays in mode {mode}")
    except sqlite3.Error as error:
        if not path.exists():  # otherwise another was first, and cleared our copy away
            raise StationError(
                f"{path}: the ledger cannot be made ({error}); check the disk, then try again"
            ) from error
    finally:
        connection.close()
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        pass  # another station was first; its ledger is as good
    except FileNotFoundError:
        if not path.exists():  # otherwise another was first, and cleared our copy away
            raise
    sync_folder(path.parent)


def _clear(path: Path) -> None:
    """Take away what others began beside a ledger that stands, whether they finished it or were killed."""
    for unfinished in path.parent.glob(f".{path.name}.*.tmp*"):
        unfinished.unlink(missing_ok=True)


def _connect(path: Path) -> sqlite3.Connection:
    # One that a thread left open (`ledger.kept`) is closed by whichever thread collects the garbage.
    return sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)


def _prepare(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIBIBYTES}")


def _check(connection: sqlite3.Connection, path: Path, environment: str) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if 0 < version < VERSION:
        raise StationError(
            f"{path}: is a ledger of version {version}, from before it was chained; this program keeps version "
            f"{VERSION}. Keep the file as it is, and give a new --factory folder with the same keys"
        )
    if version != VERSION:
        raise StationError(f"{path}: is a ledger of version {version}, this program keeps version {VERSION}")
    (kept,) = connection.execute("SELECT environment FROM ledger").fetchone()
    if kept != environment:
        raise StationError(f"{path}: is the ledger of environment {kept}, not of {environment}; give that --factory")
