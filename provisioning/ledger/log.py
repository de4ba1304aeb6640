"""When SQLite's write-ahead log is emptied into the ledger's file: never between a request and its certificate.

A commit costs one sync of the log. The first commit into a new or emptied log costs another, for its header; emptying
costs one of the log and one of the file. Those are paid at the start and after a delivery, when nobody waits.
"""

import sqlite3

from provisioning.ledger.schema import BUSY_SECONDS, VERSION, wait_at_most

ENTRIES_BEFORE_REST = 8_000
"""Entries that a station adds before it empties the log: in random order of keys, about 60 MB of it. Pages that are
written often go to the file once."""

PATIENCE_SECONDS = 0.2
"""How long the other stations may be kept waiting for the last of it."""


class Log:
    """The log behind one connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._added = 0

    def wake(self) -> None:
        """Begin the log, before the first request. It changes nothing: the version is what it was."""
        self._connection.execute("PRAGMA wal_autocheckpoint = 0")
        self._connection.execute(f"PRAGMA user_version = {VERSION}")

    def grown(self, entries: int) -> None:
        """Count what was added."""
        self._added += entries

    def rest(self) -> None:
        """Empty the log if it has grown long.

        Most of it beside the other stations; then the rest while they wait a moment, because a log that others write to
        is never quite empty, and would grow for ever. A long reader, such as an audit, puts that off to the next time.
        """
        if self._added >= ENTRIES_BEFORE_REST:
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
            wait_at_most(self._connection, PATIENCE_SECONDS)
            self._connection.execute("PRAGMA wal_checkpoint(RESTART)")
            wait_at_most(self._connection, BUSY_SECONDS)
            self._added = 0
            self.wake()
