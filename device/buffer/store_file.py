"""The buffer's SQLite file: how it is opened, checked, and put aside when it is damaged."""

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from device.buffer.capacity import CHECKPOINT_PAGES, PAGE_BYTES, Capacity
from device.buffer.row import Priority

STORE_FILE = "buffer.sqlite"
QUARANTINE_FILE = "buffer.corrupt"
"""The last damaged file, for whoever repairs the device; one, so that damage cannot fill the flash."""
MENDING_FILE, MENDED_FILE = "buffer.mending", "buffer.mended"
"""What takes the place of a damaged file, while it is made, and once it is whole."""
LOG_SUFFIX = "-wal"
_PLACES = 16
"""Tried in a file, evenly: a flash may take a second for each that it does not give."""
_READ_BYTES = 64 * 1024
"""At a time, to see whether the flash gives a file."""
APPLICATION_ID = 0x464C5442
"""Big-endian "FLTB" in SQLite's header: a file that is not ours is not written to."""
SCHEMA_VERSION = 1

_QUEUES = "".join(
    f"CREATE TABLE queue_{priority:d} "
    "(number INTEGER PRIMARY KEY, stamp INTEGER NOT NULL, checksum INTEGER NOT NULL, payload BLOB NOT NULL) STRICT;"
    for priority in Priority
)
_SCHEMA = f"""
BEGIN IMMEDIATE;
{_QUEUES}
CREATE TABLE segment (priority INTEGER NOT NULL, first INTEGER NOT NULL, epoch INTEGER NOT NULL,
    ahead INTEGER NOT NULL, PRIMARY KEY (priority, first)) STRICT, WITHOUT ROWID;
CREATE TABLE dropped (reason TEXT PRIMARY KEY, rows INTEGER NOT NULL) STRICT, WITHOUT ROWID;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
COMMIT;
"""
"""`segment`: from number `first` on, rows are of `epoch`, and their sequence is their number plus `ahead`."""


class DamagedError(Exception):
    """The file is not what was written; the message says how that was seen."""


def open_store(folder: Path, capacity: Capacity, name: str = STORE_FILE) -> sqlite3.Connection:
    """The checked file, made when there is none. `DamagedError`, or `sqlite3.Error` when the flash fails."""
    connection = sqlite3.connect(folder / name, isolation_level=None, timeout=0, cached_statements=64)
    try:
        _configure(connection, capacity)
        if _is_blank(connection):
            connection.executescript(_SCHEMA)
        _check(connection)
    except sqlite3.Error as error:
        connection.close()
        if is_damage(error):
            raise DamagedError(str(error)) from error
        raise
    except BaseException:
        connection.close()
        raise
    return connection


def check_readable(folder: Path) -> None:
    """`OSError` when the flash does not give the file or its log.

    SQLite calls both damage: that a read failed (EIO), and that it gave something else than was written.
    """
    for name in (STORE_FILE, STORE_FILE + LOG_SUFFIX):
        with suppress(FileNotFoundError), (folder / name).open("rb") as file:
            position = 0
            # As SQLite reads, at places: what fails for one then fails for the other.
            while read := len(os.pread(file.fileno(), _READ_BYTES, position)):
                position += read


def gives_nothing(folder: Path) -> bool:
    """Whether no place of the file that is tried can be read: then the flash is away, not worn here and there."""
    try:
        with (folder / STORE_FILE).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            return not any(_gives(file.fileno(), size * place // _PLACES) for place in range(_PLACES))
    except OSError:
        return True


def _gives(descriptor: int, position: int) -> bool:
    try:
        os.pread(descriptor, 1, position)
    except OSError:
        return False
    return True


def exchange(folder: Path) -> None:
    """Put the mended file in the place of the damaged one, which is kept with its log; `OSError`.

    Nothing to do without one. Cut off anywhere, the next call goes on.
    """
    mended, store, kept = folder / MENDED_FILE, folder / STORE_FILE, folder / QUARANTINE_FILE
    if not mended.exists():
        return
    # The log first: beside the new file it would damage it.
    for source, target in ((Path(f"{store}{LOG_SUFFIX}"), Path(f"{kept}{LOG_SUFFIX}")), (store, kept)):
        if source.exists():
            source.replace(target)
    sync_folder(folder)
    mended.replace(store)
    sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Make the names in it durable; `OSError`."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the error says that the file's content is wrong, rather than that the flash does not take or give."""
    primary = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return primary in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def is_ours(connection: sqlite3.Connection) -> bool:
    """Whether its header says that it is a buffer of this version."""
    return _marks(connection) == (APPLICATION_ID, SCHEMA_VERSION)


def _marks(connection: sqlite3.Connection) -> tuple[int, int]:
    application, version = (connection.execute(f"PRAGMA {m}").fetchone()[0] for m in ("application_id", "user_version"))
    return application, version


def _configure(connection: sqlite3.Connection, capacity: Capacity) -> None:
    # Exclusive before the first access: then the log's index lives in memory, and there is no third file.
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    connection.execute(f"PRAGMA max_page_count = {capacity.pages}")
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise sqlite3.OperationalError(f"the file system gives journal mode {mode}, not a write-ahead log")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    # A page spilled before its commit would be written twice, and the log's bound with it.
    connection.execute("PRAGMA cache_spill = OFF")
    connection.execute("PRAGMA temp_store = MEMORY")


def _is_blank(connection: sqlite3.Connection) -> bool:
    """Nothing in it and nobody's name on it: new, or cut off before it was made."""
    run = connection.execute
    return (
        not run("SELECT count(*) FROM sqlite_schema").fetchone()[0] and not run("PRAGMA application_id").fetchone()[0]
    )


def _check(connection: sqlite3.Connection) -> None:
    application, version = _marks(connection)
    if application != APPLICATION_ID:
        raise DamagedError("the file is not a buffer of ours")
    if version != SCHEMA_VERSION:
        raise DamagedError(f"the file has version {version}, expected {SCHEMA_VERSION}")
    with closing(connection.execute("PRAGMA quick_check(1)")) as cursor:
        found = cursor.fetchone()[0]
    if found != "ok":
        raise DamagedError(f"quick_check: {found}")
