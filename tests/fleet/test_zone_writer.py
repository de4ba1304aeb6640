"""What became of a batch is read in the zone, with as few pages as can be, whatever the zone lists in between."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from fleet.errors import UnfinishedError
from fleet.routing.batches import Batch
from fleet.routing.pace import Pace
from fleet.routing.record_set import RecordSet, zone_order
from fleet.routing.target import DEFAULT, Target
from fleet.routing.zone import Create, Page, ZoneChange, ZoneReplyLostError, ZoneThrottledError
from fleet.routing.zone_writer import MAX_DOUBTS, TRIES, ZoneWriter
from tests.fleet.memory_zone import MemoryZone, SimulatedTime
from tests.fleet.plans import DOMAIN, change

EU1 = Target(cluster="eu1")


class DeafZone(MemoryZone):
    """Route 53 does what it is asked; its answer to the first so many changes is lost."""

    lost = 1

    def change(self, changes: Sequence[ZoneChange]) -> str:
        change_id = super().change(changes)
        if self.lost:
            self.lost -= 1
            raise ZoneReplyLostError("cut off")
        return change_id


class LabelOrderedZone(DeafZone):
    """Lists label by label, as Route 53 would if it had no dot at the end of a name; the embedded one does."""

    def page(self, start_name: str, start_type: str | None = None) -> Page:
        self.pages += 1

        def order(records: RecordSet) -> list[str]:
            return records.name.split(".")[::-1]

        listed = sorted(self.record_sets, key=order)
        listed = [records for records in listed if order(records) >= start_name.split(".")[::-1]]
        following = listed[300].name if len(listed) > 300 else None
        return Page(record_sets=tuple(listed[:300]), others=(), next_name=following, next_type=None)


class OddlyListedZone(DeafZone):
    """Every page says that the wildcard comes next, wherever Route 53 sorts an escaped asterisk."""

    def page(self, start_name: str, start_type: str | None = None) -> Page:
        return replace(super().page(start_name, start_type), next_name=f"*.gw.{DOMAIN}", next_type="CNAME")


def writer(zone: MemoryZone) -> ZoneWriter:
    return ZoneWriter(zone=zone, pace=Pace(5, zone.time.clock, zone.time.sleep), sleep=zone.time.sleep)


def crowded(zone: MemoryZone) -> Batch:
    """A batch of three devices, far apart in a zone of five thousand others."""
    others = [change(f"m{number:04d}", DEFAULT, EU1) for number in range(5000)]
    for start in range(0, len(others), 1000):
        zone.change([Create(records) for each in others[start : start + 1000] for records in each.creates])
        zone.time.sleep(1)
    return Batch(0, tuple(change(device, DEFAULT, EU1) for device in ("a", "m2500x", "z")))


@pytest.mark.parametrize("kind", [DeafZone, LabelOrderedZone, OddlyListedZone])
def test_a_lost_answer_is_read_in_the_zone_without_listing_all_of_it(kind: type[DeafZone]) -> None:
    zone = kind(SimulatedTime())
    zone.lost = 0
    batch = crowded(zone)
    zone.lost = 1
    change_id = writer(zone).write(batch, DOMAIN)
    assert zone.is_in_sync(change_id), "a batch that is done again is proven before the next begins"
    assert all(zone.records[records.name] for each in batch.changes for records in each.creates)
    assert zone.pages <= 3, "a page for each of the three at most; the whole zone is 17"


@pytest.mark.parametrize("kind", [DeafZone, LabelOrderedZone])
def test_names_with_hyphens_are_found_in_whichever_order_they_are_listed(kind: type[DeafZone]) -> None:
    zone = kind(SimulatedTime())
    zone.lost = 0
    others = [change(f"d-{number:04d}", DEFAULT, EU1) for number in range(900)]
    zone.change([Create(records) for each in others for records in each.creates])
    batch = Batch(0, tuple(change(device, DEFAULT, EU1) for device in ("d", "d-0450x", "d-9", "d0")))
    zone.lost = 1
    writer(zone).write(batch, DOMAIN)
    for each in batch.changes:
        assert set(each.creates) <= zone.record_sets


def test_a_hyphen_sorts_before_the_end_of_a_name() -> None:
    assert sorted(["d.gw.example", "d-1.gw.example", "d0.gw.example"], key=zone_order) == [
        "d-1.gw.example",
        "d.gw.example",
        "d0.gw.example",
    ]


def test_answers_that_are_always_lost_end_in_words() -> None:
    zone = DeafZone(SimulatedTime())
    zone.lost = 1000
    with pytest.raises(UnfinishedError, match="check the network"):
        writer(zone).write(Batch(0, (change("a", DEFAULT, EU1),)), DOMAIN)
    assert zone.changes <= 2 * MAX_DOUBTS


def test_a_zone_that_puts_everything_off_ends_in_words() -> None:
    class BusyZone(MemoryZone):
        asked = 0

        def change(self, changes: Sequence[ZoneChange]) -> str:
            self.asked += 1
            raise ZoneThrottledError("PriorRequestNotComplete")

    zone = BusyZone(SimulatedTime())
    with pytest.raises(UnfinishedError, match=r"PriorRequestNotComplete.*run this again later"):
        writer(zone).write(Batch(0, (change("a", DEFAULT, EU1),)), DOMAIN)
    assert zone.asked == TRIES
