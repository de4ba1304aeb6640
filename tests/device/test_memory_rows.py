"""The store of simulated devices keeps the durable one's contract: the same calls on both, the same answers."""

from pathlib import Path
from random import Random
from time import monotonic

import pytest

from device.buffer.buffer import Buffer
from device.buffer.capacity import MIN_BYTES, Capacity
from device.buffer.row import Priority, Reason
from device.row_store import MemoryRows, RowStore
from device.surroundings import utc_now


@pytest.mark.parametrize("seed", range(20))
def test_both_stores_give_out_the_same_rows_under_the_same_numbers(tmp_path: Path, seed: int) -> None:
    chance = Random(seed)  # noqa: S311 - repeatable
    durable: RowStore = Buffer(
        tmp_path,
        Capacity.of_bytes(MIN_BYTES),
        now=utc_now(),
        monotonic=monotonic,
        random_bits=chance.getrandbits,
        emit=lambda _event: None,
    )
    light: RowStore = MemoryRows(durable.epoch, bound_bytes=MIN_BYTES, emit=lambda _event: None)
    for step in range(60):
        priority = chance.choice(list(Priority))
        rows = [b"%d %d" % (step, index) for index in range(chance.randint(1, 9))]
        assert durable.append(rows, priority) == light.append(rows, priority)
        limit = chance.randint(1, 12)
        one, other = durable.oldest(limit), light.oldest(limit)
        assert one
        assert other
        assert (one.priority, one.epoch, one.payloads) == (other.priority, other.epoch, other.payloads)
        assert [row.sequence for row in one.rows] == [row.sequence for row in other.rows]
        if chance.random() < 0.6:
            durable.acknowledge(one)
            light.acknowledge(other)
        assert durable.depth == light.depth
    durable.close()


def test_a_full_store_gives_up_the_oldest_of_the_lowest_priority_and_tells_it() -> None:
    told: list[dict[str, object]] = []
    rows = MemoryRows(4, bound_bytes=100, emit=told.append)
    rows.append([b"u" * 40], Priority.URGENT)
    rows.append([b"b" * 30, b"c" * 30], Priority.BULK)
    rows.append([b"n" * 30])
    assert rows.fullness() == 1.0
    assert told == [{"event": "buffer_dropped", "priority": "bulk", "reason": "full", "rows": 1}]
    rows.append([b"n" * 31])
    assert rows.dropped == {Reason.FULL: 3}, "the bulk row, then the older of the ordinary ones"
    oldest = rows.oldest(9)
    assert oldest
    assert (oldest.priority, oldest.payloads) == (Priority.URGENT, (b"u" * 40,))
