"""One's turn to write: SQLite lets one connection at a time, and the next should come as soon as it ends.

SQLite's own waiting sleeps longer each time, up to 100 ms, while a batch holds the ledger for 20: two processes that
share one lost a tenth of their time asleep.
"""

import sqlite3
import time
from collections.abc import Callable

from provisioning.ledger.schema import BUSY_SECONDS, wait_at_most

ASK_EVERY_SECONDS = 0.0005
"""Of those, asking takes 10 microseconds of the processor."""


def begin(
    connection: sqlite3.Connection,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Begin a transaction that excludes other writers; `sqlite3.OperationalError` after `BUSY_SECONDS` of waiting."""
    give_up_at = clock() + BUSY_SECONDS
    wait_at_most(connection, 0)
    try:
        while not _is_begun(connection, is_last=clock() >= give_up_at):
            sleep(ASK_EVERY_SECONDS)
    finally:
        wait_at_most(connection, BUSY_SECONDS)


def _is_begun(connection: sqlite3.Connection, *, is_last: bool) -> bool:
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        if is_last or error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:  # the rest of the code says why it is busy
            raise
        return False
    return True
