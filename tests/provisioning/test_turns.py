"""One writer at a time, and the next begins as soon as the one before ends."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from provisioning.ledger.schema import BUSY_SECONDS, open_connection
from provisioning.ledger.turn import ASK_EVERY_SECONDS, begin


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Another station, in the middle of its transaction."""
    with closing(open_connection(tmp_path, "dev", create=True)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield connection


@pytest.fixture
def waiting(writer: sqlite3.Connection, tmp_path: Path) -> Iterator[sqlite3.Connection]:
    assert writer.in_transaction
    with closing(open_connection(tmp_path, "dev", create=False)) as connection:
        yield connection


def patience(connection: sqlite3.Connection) -> float:
    (milliseconds,) = connection.execute("PRAGMA busy_timeout").fetchone()
    return float(milliseconds) / 1000


def test_a_turn_comes_with_the_first_question_after_the_other_ended(
    writer: sqlite3.Connection, waiting: sqlite3.Connection
) -> None:
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            writer.rollback()

    begin(waiting, clock=lambda: 0.0, sleep=sleep)
    assert waiting.in_transaction
    assert slept == [ASK_EVERY_SECONDS] * 3, "SQLite's own patience would have slept 1, 2, 5, 10 ms and on"
    assert patience(waiting) == BUSY_SECONDS, "for whatever else this connection waits for"
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        begin(writer, clock=iter((0.0, BUSY_SECONDS)).__next__)


def test_whoever_waits_for_a_station_that_hangs_is_told_in_the_end(
    writer: sqlite3.Connection, waiting: sqlite3.Connection
) -> None:
    now = 0.0

    def sleep(_: float) -> None:
        nonlocal now
        now += BUSY_SECONDS / 3

    with pytest.raises(sqlite3.OperationalError, match="locked"):
        begin(waiting, clock=lambda: now, sleep=sleep)
    assert writer.in_transaction
    assert not waiting.in_transaction
    assert now == pytest.approx(BUSY_SECONDS)
    assert patience(waiting) == BUSY_SECONDS


def test_what_is_no_waiting_is_told_at_once(writer: sqlite3.Connection, waiting: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.OperationalError, match="within a transaction"):
        begin(writer, sleep=lambda _: pytest.fail("nobody else holds it"))
    assert not waiting.in_transaction
