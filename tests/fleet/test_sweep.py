"""Whatever has expired goes home, nothing else moves, and a sweep that was killed anywhere is finished by the next."""

import random
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.errors import RefusedError
from fleet.routing.applier import CLAIM, Applier
from fleet.routing.pace import Pace
from fleet.routing.plan_text import TextPlan
from fleet.routing.record_set import RecordSet, project
from fleet.routing.route import Kind, Route, State
from fleet.routing.route_table import RouteTable
from fleet.routing.sweep import MAX_SWEPT, Swept, sweep, sweep_changes
from fleet.routing.sweep_shelf import SweepShelf
from fleet.routing.target import DEFAULT, Target
from fleet.routing.zone import REQUESTS_PER_SECOND, Create, Delete, Zone
from fleet.routing.zone_writer import ZoneWriter
from protocol.device_id import DeviceId, parse_device_id
from tests.fleet.applying import GROUND, Hazard, KilledError
from tests.fleet.memory_route_table import MemoryRouteTable
from tests.fleet.memory_zone import MemoryZone, SimulatedTime
from tests.fleet.plans import DOMAIN

NOW = SimulatedTime().now


@dataclass
class MemoryShelf:
    """The shelf in memory; `test_sweep_shelf.py` holds the real one."""

    plan: TextPlan | None = None

    def read(self) -> TextPlan | None:
        return None if self.plan is None else TextPlan.read(self.plan.text)

    def put(self, plan: TextPlan) -> bool:
        if self.plan is not None and self.plan.digest != plan.digest:
            return False
        self.plan = plan
        return True

    def take_away(self, plan: TextPlan) -> None:
        if self.plan is not None and self.plan.digest == plan.digest:
            self.plan = None


class LaggingTable(MemoryRouteTable):
    """A table whose index still shows a route as it was (a global secondary index is eventually consistent)."""

    def __init__(self, table: MemoryRouteTable, stale: Route) -> None:
        super().__init__()
        self.__dict__.update(table.__dict__)
        self._stale = stale

    def expired(self, now: datetime) -> Iterator[Route]:
        return iter([self._stale])


@dataclass
class World:
    """The table, the zone, the shelf and the applier, as a sweep meets them."""

    fleet: dict[DeviceId, Route]
    time: SimulatedTime = field(default_factory=SimulatedTime)
    table: MemoryRouteTable = field(default_factory=MemoryRouteTable)
    shelf: MemoryShelf = field(default_factory=MemoryShelf)
    zone: MemoryZone = field(init=False)

    def __post_init__(self) -> None:
        self.zone = MemoryZone(self.time, random.Random(7))  # noqa: S311 - simulated time, not secrets
        for number, standing in enumerate(self.fleet.values()):
            for revision in range(1, standing.revision):
                self.table.write([replace(standing, revision=revision, expires=None, plan=f"{revision}" * 64)])
            self.table.write([standing])
            self.zone.change([Create(record_of(standing))])
            if number % REQUESTS_PER_SECOND == 0:
                self.time.sleep(2)
        self.time.now = NOW

    def standing(self, device: str) -> Route:
        return self.table.read([DeviceId(device)])[DeviceId(device)]

    def records(self, device: str) -> list[str]:
        return [records.values[0] for records in self.zone.records.get(f"{device}.gw.{DOMAIN}", {}).values()]

    def sweep(self, hazard: Hazard | None = None) -> Swept:
        hazard = hazard or Hazard()
        table = cast("RouteTable", hazard.around(self.table))
        pace = Pace(REQUESTS_PER_SECOND, self.time.clock, self.time.sleep)
        applier = Applier(
            ground=GROUND,
            table=table,
            writer=ZoneWriter(zone=cast("Zone", hazard.around(self.zone)), pace=pace, sleep=self.time.sleep),
            clock=self.time.clock,
            sleep=self.time.sleep,
            holder="tests",
        )
        shelf = cast("SweepShelf", hazard.around(self.shelf))
        return sweep(GROUND, table, shelf, applier.apply, holder="tests", clock=self.time.clock)


def struck(at: int, strike: str) -> Hazard:
    """Death at one call, counted from 0."""
    return Hazard(lambda number, _name: strike if number == at else None)


def record_of(standing: Route) -> RecordSet:
    records = project(standing.device, standing.target, DOMAIN)
    assert records is not None
    return records


def route(device: str, *, expires: datetime | None, target: str = "192.0.2.100", returns_to: str = "default") -> Route:
    return Route(
        device=parse_device_id(device),
        revision=3,
        target=Target.parse(target),
        kind=Kind.MOVE if expires is None else Kind.DEBUG,
        owner="firmware-team",
        reason="looks at it",
        expires=expires,
        returns_to=Target.parse(returns_to),
        state=State.POINTED,
        changed_by="an engineer",
        changed_at=NOW - timedelta(days=1),
        plan="0" * 64,
    )


def world_of(*routes: Route) -> World:
    return World({each.device: each for each in routes})


OFFSETS = st.one_of(st.none(), st.integers(-3, 3).map(lambda seconds: NOW + timedelta(seconds=seconds)))
FLEETS = st.dictionaries(
    st.sampled_from([f"device{number}" for number in range(8)]),
    st.tuples(OFFSETS, st.sampled_from(["192.0.2.100", "2001:db8::1", "us1"]), st.sampled_from(["default", "eu1"])),
).map(
    lambda rows: {
        parse_device_id(device): route(device, expires=expires, target=target, returns_to=home)
        for device, (expires, target, home) in rows.items()
    }
)


@given(
    fleet=FLEETS,
    strikes=st.lists(st.tuples(st.integers(0, 60), st.sampled_from(["kill before", "kill after"])), max_size=4),
)
def test_no_expired_route_survives_and_no_other_is_touched_wherever_sweeps_were_killed(
    fleet: dict[DeviceId, Route], strikes: list[tuple[int, str]]
) -> None:
    world = World(fleet)
    moment = NOW
    for at, strike in strikes:
        with suppress(KilledError):
            world.sweep(struck(at, strike))
    swept = world.sweep()
    assert swept.left == {}
    assert world.shelf.plan is None
    for device, before in fleet.items():
        now, end = world.standing(device), before.expires
        if end is not None and end <= moment:
            assert (now.revision, now.target, now.expires) == (before.revision + 1, before.returns_to, None)
            assert now.state is State.POINTED, "finished, not merely begun"
            home = project(device, before.returns_to, DOMAIN)
            assert world.records(device) == ([] if home is None else [home.values[0]])
        elif end is None:
            assert now == before
            assert world.records(device) == [record_of(before).values[0]], "it has no end, and nothing touched it"
        elif now.revision != before.revision:
            assert end <= world.time.now, "its end came while the sweeps were at work, and not before"


@given(fleet=FLEETS)
def test_a_route_that_has_time_left_is_exactly_as_it_was(fleet: dict[DeviceId, Route]) -> None:
    later = {
        device: replace(standing, expires=standing.expires and NOW + timedelta(days=1))
        for device, standing in fleet.items()
    }
    world = World(later)
    assert world.sweep() == Swept(changes=(), left={})
    for device, before in later.items():
        assert world.standing(device) == before
        assert world.records(device) == [record_of(before).values[0]]


@pytest.mark.parametrize(
    ("seconds", "is_swept"), [(-1, True), (0, True), (1, False)], ids=["a second ago", "this second", "in a second"]
)
def test_a_route_goes_home_from_the_second_it_expires(seconds: int, is_swept: bool) -> None:
    world = world_of(route("device1", expires=NOW + timedelta(seconds=seconds)))
    assert [change.device for change in world.sweep().changes] == (["device1"] if is_swept else [])


def test_the_history_says_which_redirect_ended() -> None:
    (change,) = sweep_changes([route("device1", expires=NOW, returns_to="us1")], GROUND)
    assert change.reason == "debug to 192.0.2.100 (revision 3) ended at 2026-11-24T12:00:00Z"
    assert (change.kind, change.expires, change.owner) == (Kind.MOVE, None, "firmware-team")
    assert [records.type for records in (*change.removes, *change.creates)] == ["A", "CNAME"]


def test_a_device_whose_cluster_is_no_more_goes_to_the_default_rather_than_nowhere() -> None:
    (change,) = sweep_changes([route("device1", expires=NOW, returns_to="gone1")], GROUND)
    assert change.after == DEFAULT
    assert change.creates == ()
    assert change.reason.endswith("; cluster gone1 is no more")


def test_a_pinned_device_is_left_and_told_because_its_name_is_the_stacks() -> None:
    world = world_of(route("pinned1", expires=NOW), route("device1", expires=NOW))
    swept = world.sweep()
    assert [change.device for change in swept.changes] == ["device1"]
    assert "pinned" in swept.left[parse_device_id("pinned1")]
    assert world.records("pinned1") == ["192.0.2.100"]


@pytest.mark.parametrize("seen", ["whole", "parted"], ids=["in one run", "killed among the parts and run again"])
def test_one_device_whose_record_somebody_changed_holds_up_no_other(seen: str) -> None:
    names = [f"device{number:03}" for number in range(MAX_SWEPT + 3)]
    world = world_of(*(route(name, expires=NOW) for name in names))
    name = f"device017.gw.{DOMAIN}"
    foreign = RecordSet(name, "A", 60, ("198.51.100.7",))
    world.time.sleep(60)
    world.zone.change([Delete(world.zone.records[name]["A"]), Create(foreign)])
    if seen == "parted":
        for at in (60, 200, 400):
            with suppress(KilledError):
                world.sweep(struck(at, "kill after"))
            world.time.sleep(CLAIM.total_seconds() + 1)  # a part that died holds the zone until its claim lapses
    swept = world.sweep()
    assert list(swept.left) == ["device017"]
    assert "batch 0" in swept.left[DeviceId("device017")]
    assert world.zone.record_sets == {foreign}, "everybody else is home, and nobody's record is guessed at"
    assert world.shelf.plan is None, "the next sweep is not held up either"
    for other in set(names) - {"device017"}:
        assert world.standing(other).state is State.POINTED, other


def test_a_redirect_that_was_lengthened_after_the_sweep_looked_is_not_cut_short() -> None:
    world = world_of(route("device1", expires=NOW))
    with pytest.raises(KilledError):
        world.sweep(Hazard(lambda _number, name: "kill after" if name == "put" else None))
    assert world.shelf.plan is not None
    before = world.standing("device1")
    world.table.write([replace(before, revision=4, expires=NOW + timedelta(hours=1), plan="f" * 64)])
    assert world.sweep() == Swept(changes=(), left={})
    assert world.records("device1") == ["192.0.2.100"]
    assert world.shelf.plan is None


def test_an_index_that_lags_behind_makes_no_second_change() -> None:
    world = world_of(route("device1", expires=NOW))
    stale = world.standing("device1")
    world.sweep()
    world.table = LaggingTable(world.table, stale)
    assert world.sweep() == Swept(changes=(), left={})
    assert [each.revision for each in world.table.history(DeviceId("device1"))] == [1, 2, 3, 4]


def test_two_sweeps_at_once_do_one_anothers_work() -> None:
    world = world_of(route("device1", expires=NOW), route("device2", expires=NOW))
    with pytest.raises(KilledError):
        world.sweep(Hazard(lambda _number, name: "kill after" if name == "write" else None))
    left_behind = world.shelf.plan
    assert left_behind is not None
    swept = world.sweep()
    assert [change.device for change in swept.changes] == ["device1", "device2"]
    assert world.table.read_plan(left_behind.digest) is not None


def test_while_another_plan_has_the_zone_a_sweep_waits_for_its_next_turn() -> None:
    world = world_of(route("device1", expires=NOW))
    world.table.claim_zone("a" * 64, "somebody", now=NOW, until=NOW + timedelta(minutes=10))
    with pytest.raises(RefusedError, match="somebody"):
        world.sweep()
    assert world.records("device1") == ["192.0.2.100"]
    world.table.release_zone("a" * 64)
    assert [change.device for change in world.sweep().changes] == ["device1"]


def test_a_plan_read_back_from_its_text_is_the_same_plan() -> None:
    changes = sweep_changes([route("device1", expires=NOW, returns_to="us1"), route("device2", expires=NOW)], GROUND)
    world = world_of(route("device1", expires=NOW))
    with pytest.raises(KilledError):
        world.sweep(Hazard(lambda _number, name: "kill after" if name == "put" else None))
    assert world.shelf.plan is not None
    plan = TextPlan.of(world.shelf.plan.header, changes)
    again = TextPlan.read(plan.text)
    assert (again.digest, again.header, tuple(again.changes())) == (plan.digest, plan.header, changes)
    with pytest.raises(ValueError, match="sorted by device"):
        TextPlan.of(plan.header, changes[::-1])
