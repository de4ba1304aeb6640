"""The chain of a ledger: each entry's hash covers the entry before it, so nothing can be changed, moved or left out.

hash = SHA-256(hash of the entry before, then a CBOR array (RFC 8949) of the table's name, the entry's number and its
columns in the table's order). Before the first entry stands the hash of what the ledger is: its version, id and
environment.
"""

import hashlib
from typing import NamedTuple

import cbor2

Column = int | str | bytes


class Head(NamedTuple):
    """The end of the chain: the number of its last entry, and that entry's hash."""

    number: int
    hash: bytes

    @classmethod
    def of_nothing(cls, *, version: int, ledger: str, environment: str) -> "Head":
        """Where the chain of a new ledger begins."""
        return cls(0, hashlib.sha256(cbor2.dumps(["ledger", version, ledger, environment])).digest())

    def after(self, table: str, columns: tuple[Column, ...]) -> "Head":
        """The head once `columns` are the next entry, in `table`."""
        return Head(self.number + 1, link(self.hash, table, self.number + 1, columns))


def link(before: bytes, table: str, number: int, columns: tuple[Column, ...]) -> bytes:
    """The hash of entry `number`, which follows one whose hash is `before`."""
    return hashlib.sha256(before + cbor2.dumps((table, number, *columns))).digest()
