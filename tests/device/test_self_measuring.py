"""What a device says of itself: how much was left out, how much was dropped and why, what fails."""

from decimal import Decimal

from device.buffer.row import Reason
from device.metrics import Health, readings_of
from device.row_store import MemoryRows
from protocol.measurement import Reading
from tests.device.desk import Desk
from tests.device.fake_link import told

ROW_BYTES = 40


def a_day_offline(rule: dict[str, object]) -> Desk:
    """A buffer that is full long before the day is over, then a connection."""
    events: list[dict[str, object]] = []
    desk = Desk(
        {"channels": {"temperature": rule}}, store=MemoryRows(4096, bound_bytes=200 * ROW_BYTES, emit=events.append)
    )
    desk.measure(2000)
    return desk


def test_what_is_left_out_while_the_buffer_fills_is_counted_and_told_at_each_change_of_pace() -> None:
    desk = a_day_offline({})
    thinned, taken = desk.sampler.thinning.values, desk.sampler.taken
    assert thinned + taken == 2000, "each second is accounted for"
    assert thinned > taken
    assert [event["keeps_one_in"] for event in told(desk.events, "thinning")] == [2, 4, 8]
    desk.deliver()
    desk.measure(1)
    assert [event["keeps_one_in"] for event in told(desk.events, "thinning")] == [2, 4, 8, 1]
    assert told(desk.events, "thinning")[-1]["left_out"] == thinned


def test_nothing_is_told_of_thinning_where_nothing_is_thinned_out() -> None:
    desk = a_day_offline({"thin_out": False})
    assert (desk.sampler.thinning.values, told(desk.events, "thinning")) == (0, [])


def test_a_window_that_is_left_out_counts_each_of_its_values() -> None:
    desk = a_day_offline({"window_seconds": 1, "statistics": ["min", "max"]})
    desk.sampler.finish()
    assert desk.sampler.thinning.values + 2 * desk.sampler.taken == 2 * 2000


def test_the_cloud_hears_why_rows_were_dropped_and_how_many_values_were_never_stored() -> None:
    health = Health(
        uptime_seconds=60.5,
        boot_count=3,
        reconnects=2,
        waiting_rows=7,
        dropped={Reason.FULL: 5, Reason.EXPIRED: 4, Reason.CORRUPT: 0},
        thinned_values=11,
        unheard_batches=1,
        failed_samples=6,
        signal_dbm=None,
    )
    counts = {each.channel: each.value for each in readings_of(health)}
    assert counts == {
        "device.uptime": 60,
        "device.boots": 3,
        "device.reconnects": 2,
        "device.waiting_rows": 7,
        "device.dropped_rows": 9,
        "device.dropped_rows.full": 5,
        "device.dropped_rows.expired": 4,
        "device.thinned_values": 11,
        "device.unheard_batches": 1,
        "device.failed_samples": 6,
    }
    on_air = readings_of(
        Health(**{name: getattr(health, name) for name in health.__slots__} | {"signal_dbm": Decimal(-85)})
    )
    assert on_air[-1] == Reading("device.signal", Decimal(-85), "dBm")
