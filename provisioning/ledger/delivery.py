"""Deliveries: one entry for all that a batch delivered together, so that a fleet of a million is not as many rows."""

import sqlite3
from collections.abc import Iterator, Sequence

_BEFORE = """
SELECT at, through FROM step WHERE step = 'delivered' AND issuance <= ? ORDER BY issuance DESC LIMIT 1
"""
"""Deliveries do not overlap: the last that begins before an issuance is its own, or it has none."""


def delivered_at(connection: sqlite3.Connection, issuance: int) -> int | None:
    """When an issuance was delivered, in microseconds since 1970-01-01 UTC; None before that."""
    row: tuple[int, int] | None = connection.execute(_BEFORE, (issuance,)).fetchone()
    return row[0] if row is not None and row[1] >= issuance else None


def undelivered(connection: sqlite3.Connection, issuances: Sequence[int]) -> list[tuple[int, int]]:
    """Those of `issuances` that were not delivered yet, as runs without a gap: the first and the last of each."""
    if not issuances:
        return []
    last: tuple[int, int] | None = connection.execute(_BEFORE, (max(issuances),)).fetchone()
    if last is None or last[1] < min(issuances):
        return list(runs(issuances))
    return list(runs([number for number in issuances if delivered_at(connection, number) is None]))


def runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Numbers as the runs they come in, ascending: 1, 2, 3, 7 as (1, 3), (7, 7)."""
    ordered = sorted(set(numbers))
    if not ordered:
        return
    first = last = ordered[0]
    for number in ordered[1:]:
        if number != last + 1:
            yield first, last
            first = number
        last = number
    yield first, last
