import shutil
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from device.buffer.buffer import MEMORY_BYTES, RowTooLargeError
from device.buffer.capacity import LOG_BYTES, MIN_BYTES, PAGE_BYTES, Capacity, CapacityError
from device.buffer.epoch import EPOCH_FILE
from device.buffer.row import MAX_ROW_BYTES, Priority, Reason
from device.buffer.store_file import QUARANTINE_FILE, STORE_FILE
from protocol.buffer_room import ROW_BYTES, THINNING, rows_held
from tests.device.buffer.opened import Bench, drain


def rows(first: int, count: int, size: int = 8) -> list[bytes]:
    return [b"%0*d" % (size, number) for number in range(first, first + count)]


def test_what_was_appended_comes_out_in_order_once_acknowledged_and_no_more(tmp_path: Path) -> None:
    buffer = Bench(tmp_path).open()
    assert buffer.append(rows(0, 5))
    assert buffer.append(rows(5, 5))
    first = buffer.oldest(4)
    assert first is not None
    assert buffer.oldest(4) == first, "without an acknowledgement it is given out again"
    assert first.payloads == tuple(rows(0, 4))
    buffer.acknowledge(first)
    assert [payload for _, _, payload in drain(buffer, 4)] == rows(4, 6)
    assert buffer.depth == 0


def test_a_start_goes_on_where_the_last_one_was_cut_off_under_an_epoch_of_its_own(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    before = bench.open()
    before.append(rows(0, 3))
    before.close()
    after = bench.open()
    after.append(rows(3, 2))
    assert after.epoch > before.epoch
    normal = Priority.NORMAL
    assert drain(after) == [
        *((before.epoch + normal, number, row) for number, row in enumerate(rows(0, 3))),
        *((after.epoch + normal, number, row) for number, row in enumerate(rows(3, 2), 3)),
    ], "rows keep the epoch they were appended under, and the count goes on"


def test_an_emptied_buffer_remembers_how_far_it_had_counted(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    for start in range(3):
        buffer = bench.open()
        buffer.append(rows(0, 4))
        assert [sequence for _, sequence, _ in drain(buffer)] == list(range(4 * start, 4 * start + 4))
        buffer.close()


def test_the_urgent_go_first_and_each_priority_is_acknowledged_by_itself(tmp_path: Path) -> None:
    buffer = Bench(tmp_path).open()
    buffer.append([b"bulk"], Priority.BULK)
    buffer.append([b"normal"], Priority.NORMAL)
    normal = buffer.oldest(9)
    buffer.append([b"urgent"], Priority.URGENT)
    assert normal is not None
    buffer.acknowledge(normal)
    assert [(epoch - buffer.epoch, sequence, row) for epoch, sequence, row in drain(buffer)] == [
        (Priority.URGENT, 0, b"urgent"),
        (Priority.BULK, 0, b"bulk"),
    ], "an acknowledgement forgets rows of its own priority only"


def test_a_full_buffer_gives_up_the_oldest_of_the_lowest_priority_and_says_how_many(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    buffer = bench.open()
    buffer.append(rows(0, 20, 100), Priority.BULK)
    buffer.append(rows(0, 20, 100), Priority.URGENT)
    for first in range(0, 6000, 60):
        assert buffer.append(rows(first, 60, 100))
    kept = drain(buffer)
    urgent, normal = kept[:20], kept[20:]
    assert [row for _, _, row in urgent] == rows(0, 20, 100), "a higher priority makes no room for a lower one"
    assert [row for _, _, row in normal] == rows(6000 - len(normal), len(normal), 100), "the newest stay, in order"
    lost = {p: sum(e["rows"] for e in bench.told("buffer_dropped") if e["priority"] == p) for p in ("bulk", "normal")}
    assert lost == {"bulk": 20, "normal": 6000 - len(normal)}
    assert buffer.dropped == {Reason.FULL: sum(lost.values())}
    buffer.close()
    assert bench.open().dropped == {Reason.FULL: sum(lost.values())}, "the count outlives a restart"


def test_a_row_finds_no_room_among_rows_of_a_higher_priority(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    buffer = bench.open()
    for first in range(0, 3000, 60):
        buffer.append(rows(first, 60, 100), Priority.URGENT)
    urgent = buffer.depth
    assert not buffer.append([bytes(100)] * 250, Priority.BULK)
    assert buffer.depth == urgent
    assert bench.told("buffer_dropped")[-1] == {
        "event": "buffer_dropped", "priority": "bulk", "reason": "full", "rows": 250
    }  # fmt: skip


@pytest.mark.parametrize(("waited", "left"), [(9, 3), (10, 3), (11, 0)])
def test_a_row_expires_after_its_time_to_live_not_before(tmp_path: Path, waited: int, left: int) -> None:
    bench = Bench(tmp_path, times_to_live={Priority.NORMAL: timedelta(seconds=10)})
    buffer = bench.open()
    buffer.append(rows(0, 3))
    buffer.append([b"no end"], Priority.BULK)
    bench.seconds += waited
    assert len(drain(buffer)) == left + 1
    assert buffer.dropped == ({Reason.EXPIRED: 3 - left} if left < 3 else {})


def test_only_running_time_counts_so_no_jump_of_the_clock_expires_anything(tmp_path: Path) -> None:
    bench = Bench(tmp_path, times_to_live={Priority.NORMAL: timedelta(seconds=10)})
    buffer = bench.open()
    bench.seconds += 5
    buffer.append(rows(0, 1))
    buffer.close()
    for now in (datetime(1970, 1, 1, tzinfo=UTC), datetime(2090, 1, 1, tzinfo=UTC)):
        bench.now, bench.seconds = now, 0
        buffer = bench.open()
        assert buffer.depth == 1
        assert buffer.oldest(1) is not None
        buffer.close()
    buffer = bench.open()
    bench.seconds += 11
    assert buffer.oldest(1) is None


def test_a_row_that_the_flash_changed_is_dropped_and_told_and_the_others_are_delivered(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    buffer = bench.open()
    buffer.append(rows(0, 5))
    buffer.close()
    path = tmp_path / STORE_FILE
    path.write_bytes(path.read_bytes().replace(b"00000002", b"00000012"))
    buffer = bench.open()
    assert [(sequence, row) for _, sequence, row in drain(buffer)] == [
        (0, b"00000000"), (1, b"00000001"), (3, b"00000003"), (4, b"00000004")
    ]  # fmt: skip
    assert buffer.dropped == {Reason.CORRUPT: 1}


def test_rows_that_changed_places_are_noticed(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    before = bench.open()
    before.append(rows(0, 2))
    before.close()
    connection = sqlite3.connect(tmp_path / STORE_FILE)
    connection.execute("UPDATE queue_1 SET number = 7 WHERE number = 1")
    connection.commit()
    connection.close()
    buffer = bench.open()
    assert [row for _, _, row in drain(buffer)] == rows(0, 1)


@pytest.mark.parametrize("damage", ["text", "page", "foreign", "version"])
def test_a_damaged_file_is_put_aside_and_the_buffer_goes_on_and_says_so(tmp_path: Path, damage: str) -> None:
    bench = Bench(tmp_path)
    before = bench.open()
    before.append(rows(0, 200, 100))
    before.close()
    path = tmp_path / STORE_FILE
    if damage == "text":
        path.write_text("not a database, but longer than a header of one hundred bytes" * 9)
    elif damage == "page":
        content = bytearray(path.read_bytes())
        content[PAGE_BYTES:] = b"\xa5" * (len(content) - PAGE_BYTES)
        path.write_bytes(content)
    else:
        with sqlite3.connect(path) as connection:
            connection.execute(f"PRAGMA {'application_id' if damage == 'foreign' else 'user_version'} = 7")
        connection.close()
    after = bench.open()
    assert after.append([b"new"])
    assert drain(after) == [(after.epoch + Priority.NORMAL, 0, b"new")]
    assert after.epoch > before.epoch, "so that number 0 is another row than number 0 before"
    assert len(bench.told("buffer_quarantined")) == 1
    assert (tmp_path / QUARANTINE_FILE).stat().st_size > 0


def test_damage_met_at_work_is_put_aside_too_and_the_row_at_hand_is_stored(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    buffer = bench.open()
    for first in range(0, 600, 60):
        buffer.append(rows(first, 60, 100))
    assert buffer.access.store is not None
    buffer.access.store.connection.execute("PRAGMA writable_schema = ON")
    buffer.access.store.connection.execute("PRAGMA cache_size = 0")
    buffer.access.store.connection.execute("PRAGMA shrink_memory").fetchall()
    for name in (STORE_FILE, f"{STORE_FILE}-wal"):
        path = tmp_path / name
        with path.open("r+b") as file:
            file.seek(0 if name.endswith("wal") else PAGE_BYTES)
            file.write(b"\xa5" * (path.stat().st_size - file.tell()))
    assert buffer.append([b"after"])
    assert [(e["event"], e["rows"]) for e in bench.events] == [("buffer_quarantined", 600), ("buffer_dropped", 600)]
    assert buffer.dropped == {Reason.CORRUPT: 600}, "nothing could be saved, and that is counted"
    assert [(sequence, row) for _, sequence, row in drain(buffer)] == [(600, b"after")], "the count went on"


def test_no_epoch_comes_twice_even_when_everything_is_lost_and_there_is_no_clock(tmp_path: Path) -> None:
    bench = Bench(tmp_path, now=datetime(1970, 1, 1, tzinfo=UTC))
    seen = set()
    for start in range(200):
        buffer = bench.open()
        seen.add(buffer.epoch)
        buffer.close()
        if start % 3 == 0:
            (tmp_path / STORE_FILE).unlink()
        if start % 5 == 0:
            (tmp_path / EPOCH_FILE).write_text("nonsense")
        if start % 7 == 0:
            shutil.rmtree(tmp_path)
            tmp_path.mkdir()
    assert len(seen) == 200
    assert all(epoch % 4 == 0 and epoch < 2**53 for epoch in seen)


def test_without_flash_rows_wait_in_memory_are_delivered_from_there_and_stored_when_it_is_back(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "not there yet")
    buffer = bench.open()
    assert not buffer.append(rows(0, 3)), "nothing is durable"
    first = buffer.oldest(1)
    assert first is not None
    buffer.acknowledge(first)
    bench.folder.mkdir()
    assert buffer.append(rows(3, 1))
    assert [e["event"] for e in bench.events] == ["buffer_unavailable", "buffer_available"]
    buffer.close()
    assert [(sequence, row) for _, sequence, row in drain(bench.open())] == list(enumerate(rows(1, 3), 1))


def test_flash_that_comes_late_may_hold_rows_that_were_counted_before(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    before = bench.open()
    before.append(rows(0, 5))
    holder = bench.open()
    assert not holder.append(rows(5, 2)), "another process holds the file"
    before.close()
    assert holder.append(rows(7, 1))
    assert drain(holder) == [
        *((before.epoch + Priority.NORMAL, number, row) for number, row in enumerate(rows(0, 5))),
        *((holder.epoch + Priority.NORMAL, number, row) for number, row in enumerate(rows(5, 3))),
    ], "each row under the number it was first given out with"


def test_memory_is_bounded_and_what_leaves_it_is_told(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "not there")
    buffer = bench.open()
    buffer.append([b"urgent"], Priority.URGENT)
    for first in range(0, 2000, 100):
        buffer.append(rows(first, 100, 100))
    kept = drain(buffer)
    assert sum(len(row) for _, _, row in kept) <= MEMORY_BYTES
    assert kept[0][2] == b"urgent"
    assert buffer.dropped == {Reason.UNSTORED: 2001 - len(kept)}


def test_a_row_that_no_page_holds_is_refused_before_anything_is_stored(tmp_path: Path) -> None:
    buffer = Bench(tmp_path).open()
    assert buffer.append([b"x" * MAX_ROW_BYTES])
    with pytest.raises(RowTooLargeError, match="2001 bytes"):
        buffer.append([b"small", b"x" * (MAX_ROW_BYTES + 1)])
    assert buffer.depth == 1


def test_a_bound_too_small_is_refused_with_the_smallest_that_works() -> None:
    assert Capacity.of_bytes(MIN_BYTES).total_bytes == MIN_BYTES
    with pytest.raises(CapacityError, match=str(MIN_BYTES)):
        Capacity.of_bytes(MIN_BYTES - 1)


@pytest.mark.parametrize("mebibytes", [1, 3])
def test_it_holds_what_the_cloud_counts_on_and_not_much_more(quick: Path, mebibytes: int) -> None:
    """Plans are judged and outages computed by `protocol.buffer_room`, which must not promise what no buffer keeps."""
    bench = Bench(quick, total_bytes=mebibytes << 20)
    buffer = bench.open()
    promised, whole, group = rows_held(mebibytes << 20), 0, [bytes(ROW_BYTES)] * 60
    while not buffer.dropped:
        whole = buffer.depth if buffer.fullness() < THINNING[0][0] else whole
        assert buffer.append(group)
    assert promised <= buffer.depth <= 1.1 * promised
    assert whole + 60 >= promised * THINNING[0][0], "nothing is left out sooner than told"


@pytest.mark.parametrize("row_bytes", [1, 40, 100, 700, MAX_ROW_BYTES])
def test_file_and_log_stay_within_their_bound_to_the_page(quick: Path, row_bytes: int) -> None:
    bench = Bench(quick, total_bytes=MIN_BYTES + 20 * PAGE_BYTES)
    buffer = bench.open()
    largest = {STORE_FILE: 0, f"{STORE_FILE}-wal": 0}
    group = 60 if row_bytes < 700 else 16
    appended = delivered = 0
    for step in range(2500):
        priority = Priority(step % 3)
        appended += group
        assert buffer.append([bytes(row_bytes)] * group, priority) or priority is not Priority.URGENT
        if step % 50 == 49:
            for _ in range(5):
                if chunk := buffer.oldest(10_000):
                    buffer.acknowledge(chunk)
                    delivered += len(chunk.rows)
        for name, most in largest.items():
            largest[name] = max(most, (quick / name).stat().st_size)
    assert bench.told("buffer_unavailable") == [], "room was made before the file was found full"
    assert largest[STORE_FILE] <= buffer.capacity.file_bytes
    assert largest[f"{STORE_FILE}-wal"] <= LOG_BYTES
    assert appended == delivered + buffer.depth + sum(buffer.dropped.values()), "every row is somewhere"


def test_what_was_delivered_does_not_wait_though_the_flash_refuses_to_forget_it(tmp_path: Path) -> None:
    """Otherwise a device would wait for ever for rows that nobody gives out any more."""
    buffer = Bench(tmp_path).open()
    buffer.append([b"one", b"two", b"three"])
    first = buffer.oldest(2)
    assert first
    assert buffer.access.store
    buffer.access.store.connection.execute("PRAGMA query_only = ON")
    buffer.acknowledge(first)
    assert buffer.depth == 1
    buffer.access.store.connection.execute("PRAGMA query_only = OFF")
    second = buffer.oldest(9)
    assert second
    assert second.payloads == (b"three",)
    buffer.acknowledge(second)
    assert buffer.depth == 0
    buffer.append([b"four"])
    assert buffer.depth == 1
    buffer.close()
