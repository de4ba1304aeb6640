"""What is measured becomes rows, whatever the clock does and however full the buffer is."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from device.buffer.row import Priority
from device.configuration import Configuration
from device.row_codec import Provenance, encode_row
from device.row_group import GROUP_SECONDS
from device.row_store import MemoryRows
from protocol.measurement import UPTIME_ORIGIN, ClockQuality, Reading
from tests.device.desk import MORNING, Desk, reading
from tests.device.fake_link import told

YEAR, HOUR = timedelta(days=365), timedelta(hours=1)


def rows_of(desk: Desk) -> list[tuple[str, int, datetime]]:
    """Clock quality, value and time of everything that came, in order."""
    desk.sampler.finish()
    desk.deliver()
    return [(batch.clock.name, int(row.readings[0].value), row.time) for batch in desk.heard for row in batch.rows]


def test_a_clock_that_jumps_ahead_and_back_loses_no_row_and_changes_no_order() -> None:
    desk = Desk()
    desk.measure(3)
    desk.set_by = YEAR
    desk.measure(3)
    desk.set_by = -HOUR
    desk.measure(3)
    rows = rows_of(desk)
    assert [value for _, value, _ in rows] == list(range(1, 10))
    assert rows[3][2] - rows[2][2] == YEAR + timedelta(seconds=1), "a row tells what the clock showed"
    assert [event["by_seconds"] for event in told(desk.events, "clock_jumped")] == [
        YEAR.total_seconds(),
        -(YEAR + HOUR).total_seconds(),
    ]


def test_a_clock_that_drifts_is_not_said_to_jump() -> None:
    desk = Desk()
    for _ in range(100):
        desk.measure(1)
        desk.set_by += timedelta(milliseconds=10)
    assert told(desk.events, "clock_jumped") == []


def test_a_device_without_a_clock_tells_how_long_it_has_run_and_says_so() -> None:
    """Nothing that was measured before the clock was set gets a time that looks true."""
    desk = Desk()
    desk.quality = ClockQuality.UNKNOWN
    desk.set_by = datetime(1970, 1, 1, tzinfo=UTC) - MORNING
    desk.measure(3)
    desk.quality, desk.set_by = ClockQuality.SYNCHRONIZED, timedelta()
    desk.measure(2)
    rows = rows_of(desk)
    assert [(quality, value) for quality, value, _ in rows] == [
        *[("UNKNOWN", value) for value in (1, 2, 3)],
        *[("SYNCHRONIZED", value) for value in (4, 5)],
    ]
    assert [time - UPTIME_ORIGIN for _, _, time in rows[:3]] == [timedelta(seconds=s) for s in (1, 2, 3)]
    assert rows[3][2] == MORNING + timedelta(seconds=4)
    assert [(event["was"], event["is"]) for event in told(desk.events, "clock")] == [
        ("synchronized", "unknown"),
        ("unknown", "synchronized"),
    ]
    assert told(desk.events, "clock_jumped") == [], "it was set, and did not jump"


def test_a_window_that_began_without_a_clock_ends_as_one_without() -> None:
    desk = Desk({"channels": {"temperature": {"window_seconds": 3600, "statistics": ["max"]}}})
    desk.quality = ClockQuality.UNKNOWN
    desk.measure(5)
    desk.quality = ClockQuality.SYNCHRONIZED
    desk.measure(5)
    rows = rows_of(desk)
    assert [(quality, value) for quality, value, _ in rows] == [("UNKNOWN", 5), ("SYNCHRONIZED", 10)]
    assert rows[0][2] == UPTIME_ORIGIN + timedelta(seconds=5)


def test_rules_are_kept_channel_by_channel_and_a_change_of_rule_tells_what_it_had() -> None:
    desk = Desk({"channels": {"temperature": {"window_seconds": 60, "statistics": ["min", "max"]}}})
    desk.measure(10)
    assert desk.sender.waiting == 0, "the window is not over"
    desk.sampler.configure(Configuration())
    desk.measure(2)
    desk.sampler.finish()
    desk.deliver()
    told_of = [(r.channel, int(r.value)) for batch in desk.heard for row in batch.rows for r in row.readings]
    assert told_of == [("temperature.min", 1), ("temperature.max", 10), ("temperature", 11), ("temperature", 12)]


def test_rows_wait_in_groups_and_a_group_is_stored_whole() -> None:
    desk = Desk()
    desk.measure(59)
    assert (desk.store.depth, desk.sampler.waiting) == (0, 59), "each write costs the flash"
    desk.measure(1)
    assert (desk.store.depth, desk.sampler.waiting) == (60, 0)


class CountedRows(MemoryRows):
    """How many rows each append had: each is a write to the flash."""

    def __init__(self) -> None:
        super().__init__(4096, bound_bytes=10**6, emit=lambda _event: None)
        self.groups: list[int] = []

    def append(self, payloads: Iterable[bytes], priority: Priority = Priority.NORMAL) -> bool:
        group = list(payloads)
        self.groups.append(len(group))
        return super().append(group, priority)


@pytest.mark.parametrize(
    ("sample_seconds", "groups"),
    [(1, [60] * 60), (10, [8] * 45), (30, [3] * 40), (60, [2] * 30), (600, [1] * 6)],
)
def test_no_row_waits_long_for_its_group_and_no_group_is_smaller_for_it_than_it_must_be(
    sample_seconds: int, groups: list[int]
) -> None:
    """An hour without a connection: a power cut costs 75 s of rows at most."""
    store = CountedRows()
    desk = Desk({"sample_seconds": sample_seconds}, store=store)
    for _ in range(3600 // sample_seconds):
        desk.ran += sample_seconds
        desk.sampler.sample()
        assert desk.sampler.waiting * sample_seconds <= GROUP_SECONDS
    assert store.groups == groups


@pytest.mark.parametrize("chance", [0.0, 0.5, 0.99])
def test_over_a_good_link_the_rows_of_a_batch_are_stored_once(chance: float) -> None:
    store = CountedRows()
    desk = Desk({"sample_seconds": 10}, store=store)
    desk.sender.surroundings = replace(desk.sender.surroundings, random=lambda: chance)
    for turn in range(120):
        desk.ran += 5
        if turn % 2:
            desk.sampler.sample()
        desk.deliver()
    assert len(desk.heard) >= 7
    assert [len(batch.rows) for batch in desk.heard] == store.groups[: len(desk.heard)]


def test_an_urgent_row_is_durable_at_once_connected_or_not_and_the_others_wait_for_their_group() -> None:
    desk = Desk({"channels": {"door": {"priority": "urgent"}}})
    desk.sampler.source = lambda _moment: (Reading("door", Decimal(1), "/"), Reading("temperature", Decimal(2), "Cel"))
    desk.measure(1)
    assert (desk.store.depth, desk.sampler.waiting) == (1, 1)
    desk.deliver()
    assert [row.readings[0].channel for batch in desk.heard for row in batch.rows] == ["door", "temperature"]


def test_urgent_rows_of_an_earlier_start_leave_at_once_too() -> None:
    """Power that fails is what many an alarm is about."""
    store = CountedRows()
    store.append([encode_row(Provenance(1, ClockQuality.SYNCHRONIZED, "1.0.0"), MORNING, reading(7))], Priority.URGENT)
    desk = Desk({"window": {"freshest_seconds": 900}}, store=store)
    desk.measure(1)
    desk.deliver()
    assert desk.values[0] == 7


def test_a_row_that_no_page_holds_is_split_and_keeps_its_moment() -> None:
    desk = Desk()
    many = tuple(Reading(f"channel-{number}", Decimal(number), "Cel") for number in range(200))
    desk.sampler.put(Priority.NORMAL, MORNING, many)
    desk.sampler.finish()
    desk.deliver()
    rows = [row for batch in desk.heard for row in batch.rows]
    assert len(rows) > 1
    assert {row.time for row in rows} == {MORNING}
