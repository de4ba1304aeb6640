"""Adding to the chain, inside one transaction."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from provisioning.ledger.chain import Column, Head, link
from provisioning.ledger.rows import head_of

_Other = TypeVar("_Other")

_INSERT = {
    "issuance": "INSERT INTO issuance VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    "certificate": "INSERT INTO certificate VALUES (?, ?, ?, ?, ?, ?)",
    "step": "INSERT INTO step VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    "seal": "INSERT INTO seal VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
}


class Entries:
    """The end of the chain. It is read when a transaction has begun, and nobody else adds until that ends."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.head = head_of(connection)
        self.added = 0

    def add(self, table: str, *columns: Column) -> int | None:
        """The number of the new entry, whose `columns` stand between `number` and `hash`; None if one was there."""
        (number,) = self.add_each(table, [columns], lambda _: None)
        return number

    def add_each(
        self, table: str, entries: Sequence[tuple[Column, ...]], otherwise: Callable[[int], _Other]
    ) -> list[int | _Other]:
        """`add` for many, in their order; where one was there, what `otherwise` gives for its index."""
        given: list[int | _Other] = []
        while len(given) < len(entries):
            given += self.add_all(table, entries[len(given) :])
            if len(given) < len(entries):
                given.append(otherwise(len(given)))
        return given

    def add_all(self, table: str, entries: Sequence[tuple[Column, ...]]) -> range:
        """Add entries up to the first that was there already; the numbers of those added."""
        hashes = [self.head.hash]
        try:
            self._connection.executemany(_INSERT[table], _chained(table, entries, self.head.number, hashes))
        except sqlite3.IntegrityError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_CONSTRAINT_UNIQUE:
                raise
            hashes.pop()
        first, added = self.head.number + 1, len(hashes) - 1
        self.head = Head(self.head.number + added, hashes[-1])
        self.added += added
        return range(first, first + added)


def _chained(
    table: str, entries: Sequence[tuple[Column, ...]], number: int, hashes: list[bytes]
) -> Iterator[tuple[Column, ...]]:
    """The rows of `entries`, which follow entry `number`. Each is asked for when the one before it stands.

    `hashes`: those of the entries asked for so far, the last one's at the end.
    """
    for columns in entries:
        number += 1
        digest = link(hashes[-1], table, number, columns)
        hashes.append(digest)
        yield (number, *columns, digest)
