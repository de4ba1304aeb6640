"""How many certificates each authority has reserved: counted once, and from then on only what came after.

That suffices because an issuance is never changed or deleted, and a later one has a higher number.
"""

import sqlite3
from dataclasses import dataclass

_AFTER = "SELECT max(number), count(*) FILTER (WHERE authority = ?) FROM issuance WHERE number > ?"


@dataclass(frozen=True, slots=True)
class _Counted:
    last: int
    """The number of the last issuance that was looked at."""
    issued: int


class Issued:
    """The counts, for one connection. What others added is seen as soon as it is committed."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._counted: dict[str, _Counted] = {}

    def by(self, authority: str) -> int:
        """Certificates reserved with this authority's key. Not inside a transaction, which may yet be undone."""
        if self._connection.in_transaction:
            raise RuntimeError("what a transaction adds may be undone, and would stay counted; count before or after")
        known = self._counted.get(authority, _Counted(last=0, issued=0))
        last, more = self._connection.execute(_AFTER, (authority, known.last)).fetchone()
        if last is not None:
            known = self._counted[authority] = _Counted(last=last, issued=known.issued + more)
        return known.issued
