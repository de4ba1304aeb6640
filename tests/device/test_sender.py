"""What leaves, when, and what is forgotten: against a broker that answers as the test wants."""

import asyncio

import pytest

from device.buffer.row import Priority
from device.link import NotAcknowledgedError
from device.row_codec import Provenance, encode_row
from protocol.measurement import ClockQuality
from tests.device.desk import MORNING, Desk, reading
from tests.device.fake_link import FakeLink, told


def test_nothing_leaves_before_its_time_and_everything_at_once_then() -> None:
    desk = Desk({"window": {"freshest_seconds": 10, "stalest_seconds": 100}})
    desk.measure(3)
    desk.deliver()
    assert desk.heard == [], "the oldest row is 2 s old; at no scatter it leaves at 6"
    desk.measure(6)
    desk.deliver()
    assert desk.values == list(range(1, 10))
    assert len(desk.heard) == 1
    assert desk.sender.waiting == 0


def test_a_dear_link_carries_fewer_and_larger_batches() -> None:
    window = {"freshest_seconds": 10, "stalest_seconds": 100}
    cheap, dear = Desk({"window": window}), Desk({"window": window, "tariff": 1.0})
    for desk in (cheap, dear):
        for _ in range(20):
            desk.measure(10)
            desk.deliver()
        assert desk.values == list(range(1, 1 + len(desk.values))), "in order, and each once"
    assert len(dear.heard) < len(cheap.heard) / 3
    assert max(len(batch.rows) for batch in dear.heard) >= 60


def test_urgent_rows_leave_at_once_and_before_all_others() -> None:
    desk = Desk({"window": {"freshest_seconds": 1000, "stalest_seconds": 1000}})
    desk.measure(5)
    desk.sampler.put(Priority.URGENT, MORNING, reading(99))
    desk.deliver()
    assert desk.values[0] == 99
    assert desk.heard[0].epoch == desk.store.epoch + Priority.URGENT, "each priority numbers its rows by itself"


def test_the_lowest_priority_leaves_with_the_rest_once_a_batch_is_due() -> None:
    """Otherwise a device that always has something to tell would never tell how it is itself."""
    desk = Desk({"window": {"freshest_seconds": 10, "stalest_seconds": 10}})
    desk.sampler.put(Priority.BULK, MORNING, reading(99))
    for _ in range(3):
        desk.measure(10)
        desk.deliver()
    assert 99 in desk.values
    assert desk.sender.waiting == 0


def test_a_batch_without_an_answer_comes_again_as_the_same_batch_before_newer_rows() -> None:
    desk = Desk(fixed_rows=3)
    desk.measure(3)

    def lost(topic: str, payload: bytes) -> int:
        desk.hear(topic, payload)
        raise NotAcknowledgedError("no answer")

    desk.deliver(lost)
    desk.measure(3)
    desk.deliver()
    assert [(batch.first, batch.last) for batch in desk.heard] == [(0, 2), (0, 2), (3, 5)]
    assert desk.heard[0] == desk.heard[1]


def test_rows_of_an_earlier_start_keep_its_firmware_its_number_and_its_clock() -> None:
    """An update, a reboot and a clock that was set meanwhile: none of it is true of what was measured before."""
    desk = Desk(fixed_rows=9)
    older = Provenance(boot_count=7, clock=ClockQuality.UNKNOWN, firmware="0.9.0")
    desk.store.append([encode_row(older, MORNING, reading(50)), encode_row(older, MORNING, reading(51))])
    desk.measure(7)
    desk.deliver()
    assert [(b.firmware, b.boot_count, b.clock.name, len(b.rows)) for b in desk.heard] == [
        ("0.9.0", 7, "UNKNOWN", 2),
    ], "and the rest is no full batch yet"
    desk.measure(2)
    desk.deliver()
    assert desk.heard[1].firmware == "1.0.0"
    assert desk.heard[1].first == 2


def test_a_row_that_no_batch_can_hold_is_given_up_alone_and_told() -> None:
    desk = Desk(fixed_rows=4)
    desk.measure(1)
    desk.sampler.hand_over()
    desk.store.append([b"not a row of ours"])
    desk.measure(2)
    desk.deliver()
    desk.sampler.finish()
    desk.deliver()
    assert desk.values == [1, 2, 3]
    assert [event["sequence"] for event in told(desk.events, "row_refused")] == [1]


@pytest.mark.parametrize("code", [0x10])
def test_what_nobody_subscribed_to_is_not_forgotten(code: int) -> None:
    desk = Desk(fixed_rows=2)
    desk.measure(2)
    desk.deliver(lambda _topic, _payload: code)
    assert desk.sender.unheard == 1, "and not pressed on: the next try waits"
    assert desk.sender.waiting == 2
    desk.deliver()
    assert desk.values == [1, 2]


def test_a_sampler_that_has_finished_lets_the_sender_end_once_all_is_delivered() -> None:
    desk = Desk({"window": {"freshest_seconds": 1000, "stalest_seconds": 1000}})
    desk.measure(5)
    desk.sampler.finish()
    asyncio.run(asyncio.wait_for(_delivered(desk), 5))
    assert desk.values == [1, 2, 3, 4, 5]


async def _delivered(desk: Desk) -> None:
    await desk.sender.deliver(FakeLink(desk.hear))
