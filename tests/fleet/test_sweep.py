"""Whatever has expired goes home, nothing else moves, and a sweep that was killed anywhere is finished by the next."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.errors import WorldMovedError
from fleet.routing.ground import Ground
from fleet.routing.plan import Change, Plan
from fleet.routing.plan_text import TextPlan
from fleet.routing.record_set import project
from fleet.routing.route import Kind, Route, State
from fleet.routing.route_table import RouteTable
from fleet.routing.sweep import MAX_SWEPT, Swept, sweep, sweep_changes
from fleet.routing.target import DEFAULT, Target
from protocol.device_id import DeviceId, parse_device_id

DOMAIN = "iot.example.com"
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
GROUND = Ground(
    environment="dev",
    domain=DOMAIN,
    zone_id="Z1",
    route_table="routes",
    clusters={"eu1": f"eu1.clusters.{DOMAIN}", "us1": f"us1.clusters.{DOMAIN}"},
    pins={"pinned1"},
)


class KilledError(Exception):
    """Stands for kill -9: nothing after it runs."""


@dataclass
class World:
    """The table, the zone and the shelf as a sweep meets them, with a step counter that kills."""

    routes: dict[DeviceId, Route]
    zone: dict[str, str] = field(default_factory=dict)
    shelved: TextPlan | None = None
    stale: set[DeviceId] = field(default_factory=set)
    """Devices that the index still shows with the route they had."""
    index: dict[DeviceId, Route] = field(default_factory=dict)
    steps_to_live: int | None = None
    history: list[tuple[DeviceId, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.index = dict(self.routes)
        for route in self.routes.values():
            self.set_record(route.device, route.target)

    def set_record(self, device: DeviceId, target: Target) -> None:
        records = project(device, target, DOMAIN)
        if records is None:
            self.zone.pop(device, None)
        else:
            self.zone[device] = records.values[0]

    def step(self) -> None:
        if self.steps_to_live is not None:
            if self.steps_to_live == 0:
                raise KilledError
            self.steps_to_live -= 1

    # The table, as far as a sweep asks it.
    def expired(self, now: datetime) -> Iterator[Route]:
        shown = {**self.routes, **{device: self.index[device] for device in self.stale}}
        return iter([route for route in shown.values() if route.expires is not None and route.expires <= now])

    def read(self, devices: list[DeviceId]) -> dict[DeviceId, Route]:
        return {device: self.routes[device] for device in devices if device in self.routes}

    # The applier, as far as its promises go: the table as a whole first, then the zone, and harmless when repeated.
    def apply(self, plan: Plan) -> None:
        self.step()
        changes = list(plan.changes())
        mine = [self.routes[change.device].plan == plan.digest for change in changes]
        if not all(mine):
            for change in changes:
                if self.routes[change.device].revision != change.revision - 1:
                    raise WorldMovedError(f"{change.device}: changed meanwhile")
                standing = [records.values[0] for records in change.removes]
                if standing != [self.zone[change.device]]:
                    raise WorldMovedError(f"{change.device}: the zone holds another record")
            for change in changes:
                self.routes[change.device] = written(self.routes[change.device], change, plan.digest)
                self.history.append((change.device, change.revision))
        self.step()
        for change in changes:
            self.set_record(change.device, change.after)
        self.step()
        for change in changes:
            self.routes[change.device] = replace(self.routes[change.device], state=State.POINTED)

    # The shelf.
    def read_shelf(self) -> TextPlan | None:
        self.step()
        return None if self.shelved is None else TextPlan.read(self.shelved.text)

    def put(self, plan: TextPlan) -> bool:
        self.step()
        if self.shelved is not None and self.shelved.digest != plan.digest:
            return False
        self.shelved = plan
        self.step()
        return True

    def take_away(self, plan: TextPlan) -> None:
        self.step()
        if self.shelved is not None and self.shelved.digest == plan.digest:
            self.shelved = None
        self.step()


@dataclass(frozen=True)
class Shelf:
    world: World

    def read(self) -> TextPlan | None:
        return self.world.read_shelf()

    def put(self, plan: TextPlan) -> bool:
        return self.world.put(plan)

    def take_away(self, plan: TextPlan) -> None:
        self.world.take_away(plan)


def written(former: Route, change: Change, plan: str) -> Route:
    return replace(
        former,
        revision=change.revision,
        target=change.after,
        kind=change.kind,
        reason=change.reason,
        expires=change.expires,
        returns_to=change.returns_to,
        state=State.PENDING,
        plan=plan,
    )


def project_value(of: Route) -> str:
    records = project(of.device, of.target, DOMAIN)
    assert records is not None
    return records.values[0]


def run(world: World, now: datetime = NOW) -> Swept:
    table: RouteTable = world  # type: ignore[assignment]  # the part of it that a sweep uses
    return sweep(GROUND, table, Shelf(world), world.apply, holder="tests", clock=lambda: now)


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


@given(fleet=FLEETS, kills=st.lists(st.integers(0, 12), max_size=4))
def test_no_expired_route_survives_and_no_other_is_touched_wherever_sweeps_were_killed(
    fleet: dict[DeviceId, Route], kills: list[int]
) -> None:
    world = World(dict(fleet))
    for steps in kills:
        world.steps_to_live = steps
        with suppress(KilledError):
            run(world)
        world.steps_to_live = None
    swept = run(world)
    assert swept.left == {}
    assert world.shelved is None
    for device, before in fleet.items():
        now = world.routes[device]
        if before.expires is None or before.expires > NOW:
            assert now == before, "it has time left, or no end at all"
            assert world.zone == {**world.zone, device: project_value(before)}
        else:
            assert (now.revision, now.target, now.expires) == (before.revision + 1, before.returns_to, None)
            assert now.state is State.POINTED, "finished, not merely begun"
            assert (device in world.zone) is not before.returns_to.is_default
    assert len(world.history) == len(set(world.history)), "no change is written twice"


@pytest.mark.parametrize(
    ("seconds", "is_swept"), [(-1, True), (0, True), (1, False)], ids=["a second ago", "this second", "in a second"]
)
def test_a_route_goes_home_from_the_second_it_expires(seconds: int, is_swept: bool) -> None:
    world = world_of(route("device1", expires=NOW + timedelta(seconds=seconds)))
    assert [change.device for change in run(world).changes] == (["device1"] if is_swept else [])


def test_the_history_says_which_redirect_ended() -> None:
    (change,) = sweep_changes([route("device1", expires=NOW, returns_to="us1")], GROUND)
    assert change.reason == "debug to 192.0.2.100 (revision 3) ended at 2026-11-24T12:00:00Z"
    assert (change.kind, change.expires, change.owner) == (Kind.MOVE, None, "firmware-team")
    assert [records.type for records in (*change.removes, *change.creates)] == ["A", "CNAME"]


def test_a_device_whose_cluster_is_no_more_goes_to_the_default_rather_than_nowhere() -> None:
    (change,) = sweep_changes([route("device1", expires=NOW, returns_to="ap1")], GROUND)
    assert change.after == DEFAULT
    assert change.creates == ()
    assert change.reason.endswith("; cluster ap1 is no more")


def test_a_pinned_device_is_left_and_told_because_its_name_is_the_stacks() -> None:
    world = world_of(route("pinned1", expires=NOW), route("device1", expires=NOW))
    swept = run(world)
    assert [change.device for change in swept.changes] == ["device1"]
    assert "pinned" in swept.left[parse_device_id("pinned1")]
    assert world.zone["pinned1"] == "192.0.2.100"


def test_one_device_whose_record_somebody_changed_holds_up_no_other() -> None:
    names = [f"device{number:03}" for number in range(2 * MAX_SWEPT + 1)]
    world = world_of(*(route(name, expires=NOW) for name in names))
    world.zone["device017"] = "198.51.100.7"
    swept = run(world)
    assert list(swept.left) == ["device017"]
    assert len(swept.changes) == len(names) - 1
    assert world.zone == {"device017": "198.51.100.7"}, "and nobody's record is guessed at"


def test_an_index_that_lags_behind_makes_no_second_change() -> None:
    world = world_of(route("device1", expires=NOW))
    run(world)
    world.stale = {parse_device_id("device1")}
    assert run(world) == Swept(changes=(), left={})
    assert world.history == [("device1", 4)]


def test_a_redirect_that_was_lengthened_after_the_sweep_looked_is_not_cut_short() -> None:
    world = world_of(route("device1", expires=NOW))
    world.steps_to_live = 2  # the plan lies on the shelf, and nothing of it was applied
    with pytest.raises(KilledError):
        run(world)
    world.steps_to_live = None
    assert world.shelved is not None
    device = parse_device_id("device1")
    world.routes[device] = replace(world.routes[device], revision=4, expires=NOW + timedelta(hours=1))
    assert run(world) == Swept(changes=(), left={})
    assert world.zone[device] == "192.0.2.100"
    assert world.shelved is None


def test_a_plan_read_back_from_its_text_is_the_same_plan() -> None:
    changes = sweep_changes([route("device1", expires=NOW, returns_to="us1"), route("device2", expires=NOW)], GROUND)
    world = world_of(route("device1", expires=NOW))
    world.steps_to_live = 2
    with pytest.raises(KilledError):
        run(world)
    assert world.shelved is not None
    plan = TextPlan.of(world.shelved.header, changes)
    again = TextPlan.read(plan.text)
    assert (again.digest, again.header, tuple(again.changes())) == (plan.digest, plan.header, changes)
    with pytest.raises(ValueError, match="sorted by device"):
        TextPlan.of(plan.header, changes[::-1])
