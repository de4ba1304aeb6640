"""What arrived is folded, and what must never arrive is seen."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from device.buffer.row import Priority
from device.demo_source import sample
from device.simulator.arrivals import Arrivals
from protocol.device_id import parse_device_id
from protocol.measurement import Batch, ClockQuality, Reading, Row
from protocol.telemetry import encode_batch

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
EPOCH = 4_000


def wire(*sequences: int, epoch: int = EPOCH + Priority.NORMAL, spoil: str = "", clock: int = 2) -> bytes:
    times = [NOON + timedelta(seconds=sequence) for sequence in sequences]
    rows = [Row(sequence, time, sample(time)) for sequence, time in zip(sequences, times, strict=True)]
    if spoil:
        readings = rows[0].readings
        rows[0] = Row(sequences[0], times[0], (Reading(readings[0].channel, Decimal(spoil), "Cel"), *readings[1:]))
    return encode_batch(
        Batch(
            device=parse_device_id("device1"),
            epoch=epoch,
            firmware="1.0.0",
            boot_count=1,
            clock=ClockQuality(clock),
            rows=tuple(rows),
        )
    )


def arrivals(*wires: bytes) -> Arrivals:
    taken = Arrivals(sample)
    for each in wires:
        taken.take(each)
    return taken


def faults(taken: Arrivals) -> tuple[int, int, int, int]:
    return taken.overtaken_rows, taken.conflicting_rows, taken.wrong_rows, len(taken.refused)


def test_rows_that_come_twice_are_stored_once() -> None:
    taken = arrivals(wire(0, 1, 2), wire(0, 1, 2), wire(3), wire(2, 3, 4))
    assert taken.rows("device1", EPOCH + Priority.NORMAL) == 5
    assert (taken.repeated_rows, taken.batches) == (5, 4)
    assert faults(taken) == (0, 0, 0, 0)
    assert taken.rows("device2", EPOCH) == 0


def test_each_epoch_has_numbers_of_its_own() -> None:
    taken = arrivals(wire(5, 6), wire(0, 1, epoch=EPOCH + 8 + Priority.NORMAL))
    assert taken.rows("device1", EPOCH + 8 + Priority.NORMAL) == 2
    assert faults(taken) == (0, 0, 0, 0)


def test_a_row_that_comes_after_a_later_one_is_seen() -> None:
    assert faults(arrivals(wire(3, 4), wire(1, 2))) == (2, 0, 0, 0)


def test_a_row_that_says_something_else_the_second_time_is_seen() -> None:
    assert faults(arrivals(wire(1), wire(1, spoil="99"))) == (0, 1, 0, 0)


def test_a_row_that_was_never_measured_so_is_seen() -> None:
    assert faults(arrivals(wire(1, spoil="99"))) == (0, 0, 1, 0)
    other_lane = EPOCH + Priority.BULK
    assert faults(arrivals(wire(1, spoil="99", epoch=other_lane))) == (0, 0, 0, 0), "what no sensor made"


def test_what_is_no_batch_is_kept_as_a_reason() -> None:
    assert faults(arrivals(b"nonsense")) == (0, 0, 0, 1)


def test_rows_without_a_clock_are_counted() -> None:
    assert arrivals(wire(0, 1, clock=0), wire(2)).clockless_rows == 2
