"""Adding to the chain, inside one transaction."""

import sqlite3

from provisioning.ledger.chain import Column, Head
from provisioning.ledger.rows import head_of

_INSERT = {
    "issuance": "INSERT OR IGNORE INTO issuance VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    "certificate": "INSERT OR IGNORE INTO certificate VALUES (?, ?, ?, ?, ?, ?)",
    "step": "INSERT OR IGNORE INTO step VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    "seal": "INSERT OR IGNORE INTO seal VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
}


class Entries:
    """The end of the chain. It is read when a transaction has begun, and nobody else adds until that ends."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.head: Head = head_of(connection)
        self.added = 0

    def add(self, table: str, *columns: Column) -> int | None:
        """The number of the new entry, whose `columns` stand between `number` and `hash`; None if one was there."""
        head = self.head.after(table, columns)
        cursor = self._connection.execute(_INSERT[table], (head.number, *columns, head.hash))
        if cursor.rowcount == 0:
            return None
        self.head = head
        self.added += 1
        return head.number
