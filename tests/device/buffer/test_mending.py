"""What a damaged or failing file still holds is given out, each row under its own name; what is lost is counted."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from device.buffer import store as store_module
from device.buffer import store_file
from device.buffer.access import PATIENCE_SECONDS
from device.buffer.buffer import Buffer
from device.buffer.capacity import MIN_BYTES, PAGE_BYTES, Capacity
from device.buffer.row import Chunk, Priority, Reason
from device.buffer.store_file import LOG_SUFFIX, MENDED_FILE, MENDING_FILE, QUARANTINE_FILE, STORE_FILE, DamagedError
from tests.device.buffer.opened import Bench, drain

ROWS = 900
ROOM_BYTES = 512 * 1024
"""For all of them, with room to spare."""
NORMAL = Priority.NORMAL


def row(number: int) -> bytes:
    """No row's bytes stand in another's."""
    return b"%0100d." % number


def rows(first: int, count: int) -> list[bytes]:
    return [row(number) for number in range(first, first + count)]


def filled(bench: Bench) -> Buffer:
    """Some thirty pages, and a few rows of another priority."""
    buffer = bench.open()
    for first in range(0, ROWS, 60):
        assert buffer.append(rows(first, 60))
    assert buffer.append([b"urgent"], Priority.URGENT)
    return buffer


def damaged(bench: Bench, place: float = 0.5) -> Buffer:
    """As `filled`, closed since, and one page of the file scribbled over: at `place`, from 0 to 1."""
    buffer = filled(bench)
    buffer.close()
    spoil(bench.folder, round(pages(bench.folder) * place))
    return buffer


def spoil(folder: Path, page: int) -> None:
    """Scribble over one page, counted from 1 as SQLite does."""
    with (folder / STORE_FILE).open("r+b") as file:
        file.seek((page - 1) * PAGE_BYTES)
        file.write(b"\xa5" * PAGE_BYTES)


def pages(folder: Path) -> int:
    return (folder / STORE_FILE).stat().st_size // PAGE_BYTES


def numbers(found: list[tuple[int, int, bytes]], epoch: int) -> list[int]:
    """The sequences of the ordinary rows of `epoch`, each of which must be what was appended under it."""
    ordinary = [(sequence, payload) for each, sequence, payload in found if each == epoch + NORMAL]
    assert all(payload == row(sequence) for sequence, payload in ordinary), "each row under its own name"
    return [sequence for sequence, _ in ordinary]


@pytest.mark.parametrize("place", [0.4, 0.7, 1.0])
def test_one_damaged_page_costs_its_own_rows_and_no_others(tmp_path: Path, place: float) -> None:
    bench = Bench(tmp_path, total_bytes=ROOM_BYTES)
    before = damaged(bench, place)
    after = bench.open()
    kept = numbers(drain(after), before.epoch)
    assert kept == sorted(set(kept))
    assert ROWS - 60 < len(kept) < ROWS, "a page holds some thirty of them"
    [told] = bench.told("buffer_quarantined")
    assert told["saved"] == len(kept) + 1
    if kept[-1] == ROWS - 1:
        assert after.dropped == {Reason.CORRUPT: ROWS - len(kept)}
    assert (tmp_path / QUARANTINE_FILE).exists()


def test_damage_met_at_work_costs_what_it_hit_and_every_lost_row_is_counted(tmp_path: Path) -> None:
    bench = Bench(tmp_path, total_bytes=ROOM_BYTES)
    buffer = filled(bench)
    delivered = buffer.oldest(9)
    assert delivered
    buffer.acknowledge(delivered)
    assert buffer.access.store
    run = buffer.access.store.connection.execute
    run("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    run("PRAGMA cache_size = 0")
    run("PRAGMA shrink_memory").fetchall()
    spoil(tmp_path, pages(tmp_path) // 2)
    found = []
    while chunk := buffer.oldest(60):
        found += [(chunk.epoch, row.sequence, row.payload) for row in chunk.rows]
        buffer.acknowledge(chunk)
    kept = numbers(found, buffer.epoch)
    assert len(kept) == len(set(kept)) > ROWS - 60
    assert buffer.dropped == {Reason.CORRUPT: ROWS - len(kept)}
    [told] = bench.told("buffer_quarantined")
    assert buffer.append([b"next"])
    assert [sequence for _, sequence, _ in drain(buffer)] == [ROWS], "the count goes on"
    assert told["rows"] == told["saved"] + ROWS - len(kept)


@pytest.mark.parametrize("crash_at", [1, 2, 3])
def test_cut_off_anywhere_mending_loses_nothing_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, crash_at: int
) -> None:
    """It renames three files, and is cut off at each of them."""
    bench = Bench(tmp_path, total_bytes=ROOM_BYTES)
    before = damaged(bench)
    (tmp_path / f"{STORE_FILE}{LOG_SUFFIX}").write_bytes(b"")
    replace, calls = Path.replace, 0

    def cut_off(path: Path, target: Path) -> Path:
        nonlocal calls
        calls += path.name != "epoch.partial"
        if calls == crash_at and path.name != "epoch.partial":
            raise InterruptedError(f"cut off at {path.name} -> {target.name}")
        return replace(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", cut_off)
        bench.open().close()
    bench.events.clear()
    kept = numbers(drain(bench.open()), before.epoch)
    assert ROWS - 60 < len(kept) < ROWS
    assert (tmp_path / QUARANTINE_FILE).exists()
    for left in (MENDING_FILE, MENDED_FILE):
        assert not (tmp_path / left).exists()


def unreadable(*_: object) -> None:
    raise OSError(5, "Input/output error")


def failing(error: int) -> Callable[..., object]:
    def fail(*_: object, **__: object) -> object:
        raised = sqlite3.DatabaseError("the flash failed")
        raised.sqlite_errorcode = error
        raise raised

    return fail


def test_a_file_that_cannot_be_read_is_waited_for_and_then_given_up_but_for_what_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path, total_bytes=ROOM_BYTES)
    before = damaged(bench)
    monkeypatch.setattr("device.buffer.access.check_readable", unreadable)
    buffer = bench.open()
    for _ in range(3):
        assert not buffer.append([b"meanwhile"])
        assert not bench.told("buffer_quarantined")
        bench.seconds += PATIENCE_SECONDS / 3
    assert buffer.append([b"at last"])
    assert len(bench.told("buffer_quarantined")) == 1
    found = drain(buffer)
    assert len(numbers(found, before.epoch)) > ROWS - 60
    assert [payload for epoch, _, payload in found if epoch == buffer.epoch + NORMAL] == [
        *[b"meanwhile"] * 3,
        b"at last",
    ]


def test_a_flash_that_gives_nothing_at_all_is_waited_for_without_end_and_memory_is_delivered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path, total_bytes=ROOM_BYTES)
    before = damaged(bench)
    with monkeypatch.context() as patch:
        patch.setattr("device.buffer.store_file.os.pread", unreadable)
        buffer = bench.open()
        for hour in range(4):
            assert not buffer.append([b"%d" % hour])
            bench.seconds += 3600
        assert [payload for _, _, payload in drain(buffer)] == [b"0", b"1", b"2", b"3"]
        assert [told["event"] for told in bench.events] == ["buffer_unavailable"]
    assert buffer.append([b"back"])
    assert len(numbers(drain(buffer), before.epoch)) > ROWS - 60


def test_what_arrived_while_the_file_could_not_be_opened_is_not_given_out_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    buffer = filled(Bench(tmp_path, total_bytes=ROOM_BYTES))
    urgent = buffer.oldest(1)
    assert urgent
    buffer.acknowledge(urgent)
    chunk = buffer.oldest(100)
    assert chunk
    buffer.access.close()
    with monkeypatch.context() as patch:
        patch.setattr("device.buffer.access.Store", failing(sqlite3.SQLITE_CANTOPEN))
        buffer.acknowledge(chunk)
        assert buffer.depth == ROWS - 100
        assert buffer.oldest(100) is None
    assert numbers(drain(buffer), buffer.epoch) == list(range(100, ROWS))
    assert buffer.depth == 0


def test_a_new_file_that_fails_as_well_is_waited_for_in_its_turn_and_counts_no_loss_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path, total_bytes=ROOM_BYTES)
    buffer = damaged(bench)
    made, opened = store_module.Store, 0

    def only_the_new_one(folder: Path, capacity: Capacity, name: str = STORE_FILE) -> store_module.Store:
        nonlocal opened
        opened += 1
        if opened <= 4:
            raise DamagedError("not to be read")
        return made(folder, capacity, name)

    monkeypatch.setattr("device.buffer.access.Store", only_the_new_one)
    for _ in range(2):
        assert not buffer.append([b"meanwhile"])
    told = bench.told("buffer_quarantined")
    lost = told[0]["rows"] - told[0]["saved"]
    assert 0 < lost < 60
    assert [each["rows"] - each["saved"] for each in told] == [lost, 0]
    assert buffer.append([b"at last"])
    assert len(numbers([row for row in drain(buffer) if len(row[2]) > 60], buffer.epoch)) == ROWS - lost
    assert buffer.dropped == {Reason.CORRUPT: lost}


def test_what_no_longer_fits_a_smaller_bound_is_told_too(tmp_path: Path) -> None:
    before = damaged(Bench(tmp_path, total_bytes=ROOM_BYTES))
    bench = Bench(tmp_path, total_bytes=MIN_BYTES)
    after = bench.open()
    [told] = bench.told("buffer_quarantined")
    assert told["saved"] == after.depth
    dropped = {Reason(told["reason"]): told["rows"] for told in bench.told("buffer_dropped")}
    assert after.dropped == dropped
    assert dropped.keys() == {Reason.CORRUPT, Reason.FULL}
    assert sum(dropped.values()) + after.depth == ROWS + 1
    kept = numbers(drain(after), before.epoch)
    assert (kept[0] > 100, kept[-1]) == (True, ROWS - 1), "the newest stay"


def test_without_room_to_mend_it_is_tried_for_a_while_and_then_a_file_without_the_old_rows_is_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path, total_bytes=ROOM_BYTES)
    damaged(bench)
    monkeypatch.setattr("device.buffer.store.Store.put", failing(sqlite3.SQLITE_FULL))
    buffer = bench.open()
    bench.seconds += PATIENCE_SECONDS - 1
    assert not buffer.append([b"meanwhile"])
    monkeypatch.undo()
    monkeypatch.setattr("device.buffer.salvage.Wreck.rows", failing(sqlite3.SQLITE_FULL))
    bench.seconds += PATIENCE_SECONDS
    assert buffer.append([b"new"])
    assert [told["saved"] for told in bench.told("buffer_quarantined")] == [0]
    assert [payload for _, _, payload in drain(buffer)] == [b"meanwhile", b"new"]


def test_what_is_stored_goes_before_what_is_newer_in_memory_though_reading_fails_for_a_while(tmp_path: Path) -> None:
    bench = Bench(tmp_path, total_bytes=ROOM_BYTES)
    buffer = filled(bench)
    store = buffer.access.store
    assert store
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "insert", failing(sqlite3.SQLITE_IOERR))
        assert not buffer.append([row(ROWS)])
        patch.setattr(store, "oldest", failing(sqlite3.SQLITE_IOERR))
        assert buffer.oldest(60) is None, "not the row in memory"
        assert buffer.depth == ROWS + 2, "so that a sender tries again"
    assert numbers(drain(buffer), buffer.epoch) == list(range(ROWS + 1))


def test_a_row_that_arrived_from_memory_takes_none_of_the_stored_ones_with_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path, total_bytes=ROOM_BYTES)
    buffer = filled(bench)
    store = buffer.access.store
    assert store
    chunks: list[Chunk | None] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "insert", failing(sqlite3.SQLITE_IOERR))
        assert not buffer.append([row(ROWS)])
        patch.setattr(store, "oldest", failing(sqlite3.SQLITE_IOERR))
        chunks.append(buffer.oldest(60))
        bench.seconds += PATIENCE_SECONDS
        chunks.append(buffer.oldest(60))
    first, second = chunks
    assert first is None
    assert second, "who cannot be read for so long is not waited for"
    assert second.payloads == (row(ROWS),)
    assert buffer.append([row(ROWS + 1)]), "by now both are stored"
    buffer.acknowledge(second)
    assert buffer.depth == ROWS + 2
    assert numbers(drain(buffer), buffer.epoch) == [*range(ROWS), ROWS + 1]


def test_corrupt_rows_that_the_flash_does_not_let_go_of_keep_no_good_ones_back_and_count_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path, total_bytes=ROOM_BYTES)
    filled(bench).close()
    path = tmp_path / STORE_FILE
    content = path.read_bytes()
    for number in (0, 1, 5):
        content = content.replace(row(number), row(77))
    path.write_bytes(content)
    buffer = bench.open()
    buffer.append([b"of this start"])
    store = buffer.access.store
    assert store
    store.connection.execute("PRAGMA query_only = ON")
    assert not buffer.append([b"memory"])
    found = drain(buffer)
    assert [sequence for epoch, sequence, _ in found if epoch % 4 == NORMAL] == [2, 3, 4, *range(6, ROWS + 2)]
    assert buffer.depth == 0
    assert sum(told["rows"] for told in bench.told("buffer_dropped")) == 3
    store.connection.execute("PRAGMA query_only = OFF")
    assert buffer.append([b"the flash is back"])
    assert buffer.depth == 1
    assert buffer.dropped == {Reason.CORRUPT: 3}
    buffer.close()
    after = bench.open()
    assert [payload for _, _, payload in drain(after)] == [b"the flash is back"]
    assert after.dropped == {Reason.CORRUPT: 3}, "the count outlives a restart"


def test_a_group_that_got_into_the_file_though_its_call_failed_is_stored_once(tmp_path: Path) -> None:
    """The log took the commit, the synchronization after it failed, and then the file had to be opened anew."""
    bench = Bench(tmp_path, total_bytes=ROOM_BYTES)
    buffer = filled(bench)
    store = buffer.access.store
    assert store
    insert = store.insert

    def insert_and_fail(*arguments: object) -> object:
        insert(*arguments)  # type: ignore[arg-type]  # as they come
        return failing(sqlite3.SQLITE_CORRUPT)()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "insert", insert_and_fail)
        assert buffer.append([row(ROWS)])
    assert buffer.depth == ROWS + 2
    assert numbers(drain(buffer), buffer.epoch) == list(range(ROWS + 1))
    assert not bench.told("buffer_quarantined"), "one failed call is no damage"


def test_the_readability_of_a_file_is_that_of_its_log_too(tmp_path: Path) -> None:
    store_file.check_readable(tmp_path)
    (tmp_path / STORE_FILE).write_bytes(b"x" * 200_000)
    store_file.check_readable(tmp_path)
    (tmp_path / f"{STORE_FILE}{LOG_SUFFIX}").mkdir()
    with pytest.raises(OSError, match="directory"):
        store_file.check_readable(tmp_path)
