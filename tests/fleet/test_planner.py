"""No plan breaks a guard, whatever the fleet and the request; and what stands already needs no plan.

The plans of random fleets are judged again here, device by device, by rules written down a second time.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fleet.errors import RefusedError
from fleet.routing.allocation import ByModel, Fixed, Keep, Policy, Weighted
from fleet.routing.csv_file import Problems
from fleet.routing.decisions import Asked, allocating, draining, requested
from fleet.routing.following import ASKS_PER_SECOND
from fleet.routing.guards import Guards
from fleet.routing.places import Place, Places
from fleet.routing.plan import Change
from fleet.routing.planner import (
    FREE_DEVICES,
    Limits,
    Tally,
    check_fleet,
    connections_after,
    plan_changes,
)
from fleet.routing.record_set import project
from fleet.routing.requests import WantedRow
from fleet.routing.roster import RosterRow
from fleet.routing.route import Kind, Route, State
from fleet.routing.spool import Census, Refusal, Spool
from fleet.routing.target import DEFAULT, Target
from protocol.device_id import DeviceId
from tests.fleet.memory_route_table import MemoryRouteTable

DOMAIN = "iot.example.com"
NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
LATER = datetime(2026, 5, 5, 12, 0, tzinfo=UTC)
RESIDENCIES = {"eu1": "EU", "eu2": "EU", "us1": "US"}
DEVICES = [DeviceId(f"device{number:02}") for number in range(24)]
CLUSTER_TARGETS = [Target(cluster=name) for name in RESIDENCIES]
HOMES = [DEFAULT, *CLUSTER_TARGETS]
GATEWAY = Target(address="192.0.2.100")


@dataclass(frozen=True)
class Fleet:
    """A world to plan in."""

    places: Places
    roster: tuple[RosterRow, ...]
    listed: dict[str, frozenset[str]]
    """Cluster to the devices in its manifest."""
    routes: tuple[Route, ...]


def route(device: str, target: Target, kind: Kind, expires: datetime | None, returns_to: Target) -> Route:
    return Route(
        device=DeviceId(device),
        revision=1,
        target=target,
        kind=kind,
        owner="somebody",
        reason="before",
        expires=expires,
        returns_to=returns_to if expires else DEFAULT,
        state=State.SETTLED,
        changed_by="somebody",
        changed_at=NOW,
        plan="before",
    )


def place(name: str, *, kind: str = "managed", server_name: str = "") -> Place:
    return Place(
        kind=kind,
        residency=RESIDENCIES[name],
        server_name=server_name or f"{name}.clusters.{DOMAIN}",
        max_connections=500_000,
        max_connects_per_second=500,
    )


def random_fleet(seed: int) -> Fleet:
    """Any fleet. Of a seed, because devices drawn one by one would be few and alike."""
    chance = random.Random(seed)  # noqa: S311  # a repeatable stream, no secret
    clusters = {name: place(name) for name in RESIDENCIES}
    broken = chance.choice(["", "", *RESIDENCIES])
    if broken:
        clusters[broken] = chance.choice([place(broken, kind="edge"), place(broken, server_name="iot.example.net")])
    default = chance.choice([("eu1",), ("us1",), ("eu1", "us1"), ("eu1", "eu2")])
    devices = sorted(chance.sample(DEVICES, chance.randint(0, len(DEVICES))))
    pinned = chance.sample(devices, min(2, len(devices)))
    return Fleet(
        places=Places(
            domain=DOMAIN,
            clusters=clusters,
            default=default,
            default_follows_the_place=len(default) > 1 and chance.random() < 0.5,
            pins={device: chance.choice(CLUSTER_TARGETS) for device in pinned},
        ),
        roster=tuple(
            RosterRow(device, line, chance.choice(["fl50", "fl100"]), "", chance.choice(["", "EU", "US"]))
            for line, device in enumerate(devices, 2)
        ),
        listed={name: frozenset(device for device in devices if chance.random() < 0.9) for name in RESIDENCIES},
        routes=tuple(
            random_route(device, chance) for device in devices if device not in pinned and chance.random() < 0.6
        ),
    )


def random_route(device: DeviceId, chance: random.Random) -> Route:
    kind = chance.choice(list(Kind))
    if kind is Kind.DEBUG:
        return route(device, chance.choice([GATEWAY, *CLUSTER_TARGETS]), kind, LATER, chance.choice(HOMES))
    return route(device, chance.choice(HOMES), kind, chance.choice([None, LATER]), chance.choice(HOMES))


SEEDS = st.integers(0, 2**32)
FLEETS = SEEDS.map(random_fleet)


@dataclass
class Planned:
    changes: list[Change]
    refused: list[Refusal]
    tally: Tally
    census: Census
    uses_of_approval: int


Ask = Callable[[Spool, Guards], Iterator[Asked]]


@contextmanager
def spooled(fleet: Fleet) -> Iterator[Spool]:
    with Spool.open(fleet.places.clusters) as spool:
        problems = Problems("fleet.csv")
        spool.put_roster(fleet.roster, problems)
        problems.raise_any()
        for name, devices in fleet.listed.items():
            spool.put_listed(name, [(device, "") for device in devices], is_roster=False)
        spool.put_routes(fleet.routes)
        yield spool


def plan(fleet: Fleet, ask: Ask, *, is_approved: bool = False) -> Planned:
    refused: list[Refusal] = []
    tally = Tally()
    with spooled(fleet) as spool:
        guards = Guards(fleet.places, spool.clusters, is_approved=is_approved)
        changes = list(plan_changes(ask(spool, guards), fleet.places, guards, tally, refused.append))
        return Planned(changes, refused, tally, spool.census(), guards.uses_of_approval)


def rows_asked(rows: list[WantedRow]) -> Ask:
    def ask(spool: Spool, guards: Guards) -> Iterator[Asked]:
        problems = Problems("moves.csv")
        spool.put_wanted(rows)
        yield from requested(spool, problems)
        problems.raise_any()

    return ask


def drain_asked(fleet: Fleet, cluster: str, percent: float) -> Ask:
    others = [name for name in sorted(fleet.places.clusters) if name != cluster]

    def ask(spool: Spool, guards: Guards) -> Iterator[Asked]:
        decide = draining(cluster, percent, others, fleet.places, guards, owner="operations", reason="empty it")
        return ((standing, decide(standing)) for standing in spool.members())

    return ask


def allocation_asked(fleet: Fleet, policy: Policy) -> Ask:
    decide = allocating(policy, fleet.places, owner="operations", reason="the policy")
    return lambda spool, _: ((standing, decide(standing)) for standing in spool.members())


def random_ask(fleet: Fleet, seed: int) -> Ask:
    chance = random.Random(seed)  # noqa: S311  # a repeatable stream, no secret
    what = chance.choice(["rows", "drain", "allocate"])
    if what == "drain":
        return drain_asked(fleet, chance.choice(sorted(RESIDENCIES)), chance.choice([10, 50, 100]))
    leaves: list[Policy] = [Keep(), Fixed(DEFAULT), Weighted({"eu1": 1, "us1": 2}), *map(Fixed, CLUSTER_TARGETS)]
    if what == "allocate":
        return allocation_asked(fleet, ByModel({"fl50": chance.choice(leaves)}, chance.choice(leaves)))
    return rows_asked(random_rows(fleet, seed))


def random_rows(fleet: Fleet, seed: int) -> list[WantedRow]:
    chance = random.Random(seed)  # noqa: S311  # a repeatable stream, no secret
    rows = []
    for line, device in enumerate((row.device for row in fleet.roster), 2):
        if device in fleet.places.pins or chance.random() < 0.2:
            continue
        kind = chance.choice(list(Kind))
        expires = LATER if kind is Kind.DEBUG else chance.choice([None, LATER])
        returns_to = chance.choice([None, *HOMES]) if expires else None
        target = chance.choice([GATEWAY, *HOMES])
        rows.append(WantedRow(device, line, target, kind, "operations", "a test", expires, returns_to))
    return rows


def clusters_of(places: Places, target: Target) -> set[str]:
    if target == DEFAULT:
        return set(places.default)
    return {target.cluster} - {""}


def breaks_a_guard(fleet: Fleet, change: Change, *, is_approved: bool) -> bool:
    """The rules once more, in their plainest form."""
    former = next((route for route in fleet.routes if route.device == change.device), None)
    before = former.target if former else DEFAULT
    belongs = former.returns_to if former and former.expires else before
    goals = {change.after} | ({change.returns_to} if change.expires else set())
    return change.device in fleet.places.pins or any(
        fails_there(fleet, change, goal) or (not is_approved and leaves(fleet, change, goal, before, belongs))
        for goal in goals - {before, belongs}
    )


def fails_there(fleet: Fleet, change: Change, goal: Target) -> bool:
    if goal.address:
        return change.kind is not Kind.DEBUG or goal != change.after
    return any(
        fleet.places.clusters[name] != place(name) or change.device not in fleet.listed[name]
        for name in clusters_of(fleet.places, goal)
    )


def leaves(fleet: Fleet, change: Change, goal: Target, before: Target, belongs: Target) -> bool:
    if goal.address or (goal == DEFAULT and fleet.places.default_follows_the_place):
        return False
    row = next(row for row in fleet.roster if row.device == change.device)
    at = clusters_of(fleet.places, before) or clusters_of(fleet.places, belongs)
    bound = {row.residency} if row.residency else {RESIDENCIES[name] for name in at}
    return len(bound) != 1 or {RESIDENCIES[name] for name in clusters_of(fleet.places, goal)} != bound


@given(SEEDS, FLEETS, st.booleans())
def test_no_plan_breaks_a_guard(seed: int, fleet: Fleet, is_approved: bool) -> None:
    planned = plan(fleet, random_ask(fleet, seed), is_approved=is_approved)
    for change in planned.changes:
        assert not breaks_a_guard(fleet, change, is_approved=is_approved), change


@given(SEEDS, FLEETS)
def test_every_refused_row_would_have_broken_a_guard(seed: int, fleet: Fleet) -> None:
    rows = random_rows(fleet, seed)
    planned = plan(fleet, rows_asked(rows))
    by_device = {row.device: row for row in rows}
    standing = {route.device: route for route in fleet.routes}
    for refusal in planned.refused:
        row = by_device[DeviceId(refusal.device)]
        former = standing.get(row.device)
        belongs = (former.returns_to if former.expires else former.target) if former else DEFAULT
        change = Change(
            device=row.device,
            revision=1,
            before=DEFAULT,
            after=row.target,
            removes=(),
            creates=(),
            kind=row.kind,
            owner="",
            reason="",
            expires=row.expires,
            returns_to=(belongs if row.returns_to is None else row.returns_to) if row.expires else DEFAULT,
        )
        assert breaks_a_guard(fleet, change, is_approved=False), refusal
        assert refusal.reason.split(": ")[0] in {"residency", "TLS", "admission"}


@given(SEEDS, FLEETS)
def test_changes_are_sorted_atomic_steps_from_what_stands(seed: int, fleet: Fleet) -> None:
    planned = plan(fleet, random_ask(fleet, seed), is_approved=True)
    devices = [change.device for change in planned.changes]
    assert devices == sorted(set(devices))
    standing = {route.device: route for route in fleet.routes}
    for change in planned.changes:
        former = standing.get(change.device)
        assert change.revision == (former.revision if former else 0) + 1
        assert change.before == (former.target if former else DEFAULT)
        records = [project(change.device, target, DOMAIN) for target in (change.before, change.after)]
        moved = change.before != change.after
        assert change.removes == ((records[0],) if moved and records[0] else ())
        assert change.creates == ((records[1],) if moved and records[1] else ())


@given(SEEDS, FLEETS)
def test_every_device_is_counted_once(seed: int, fleet: Fleet) -> None:
    planned = plan(fleet, random_ask(fleet, seed))
    tally = planned.tally
    assert (tally.changes, tally.refused) == (len(planned.changes), len(planned.refused))
    assert sum(tally.moves.values()) == tally.changes
    assert tally.changes + tally.refused + tally.pinned + tally.unchanged <= len(fleet.roster)


def applied(fleet: Fleet, changes: list[Change]) -> Fleet:
    """The fleet once the plan is applied."""
    table = MemoryRouteTable()
    table.revisions_of = {each.device: [each] for each in fleet.routes}
    made = [
        replace(
            route(change.device, change.after, change.kind, change.expires, change.returns_to), revision=change.revision
        )
        for change in changes
    ]
    table.write(made)
    return replace(fleet, routes=tuple(table.scan()))


@given(SEEDS, FLEETS)
def test_a_plan_for_what_stands_already_is_empty(seed: int, fleet: Fleet) -> None:
    ask = random_ask(fleet, seed)
    first = plan(fleet, ask, is_approved=True)
    assume(first.changes)
    again = plan(applied(fleet, first.changes), ask, is_approved=True)
    assert again.changes == []


@given(FLEETS, st.sampled_from(sorted(RESIDENCIES)), st.floats(0, 100), st.floats(0, 100))
def test_a_larger_drain_holds_the_smaller_one(fleet: Fleet, cluster: str, one: float, other: float) -> None:
    small, large = (plan(fleet, drain_asked(fleet, cluster, percent)).changes for percent in sorted((one, other)))
    assert {change.device: change for change in small}.items() <= {change.device: change for change in large}.items()


@given(FLEETS, st.sampled_from(sorted(RESIDENCIES)))
def test_a_whole_drain_leaves_none_but_those_with_a_reason(fleet: Fleet, cluster: str) -> None:
    planned = plan(fleet, drain_asked(fleet, cluster, 100))
    left = {each.device for each in planned.refused} | set(fleet.places.pins)
    for each in applied(fleet, planned.changes).routes:
        if each.device in left:
            continue
        assert each.kind is Kind.DEBUG or each.target.cluster != cluster
        assert each.expires is None or each.returns_to.cluster != cluster, "nobody comes back to it later"


@given(SEEDS, FLEETS)
def test_approval_is_counted_where_it_was_needed(seed: int, fleet: Fleet) -> None:
    ask = random_ask(fleet, seed)
    planned = plan(fleet, ask, is_approved=True)
    needed = [each for each in planned.changes if breaks_a_guard(fleet, each, is_approved=False)]
    assert planned.uses_of_approval == len(needed)


@given(SEEDS, FLEETS)
def test_connections_after_a_plan_are_those_of_the_fleet_it_leaves(seed: int, fleet: Fleet) -> None:
    fleet = replace(fleet, places=replace(fleet.places, default=("eu1",), pins={}))
    planned = plan(fleet, random_ask(fleet, seed), is_approved=True)
    with spooled(applied(fleet, planned.changes)) as spool:
        recounted = connections_after(Tally(), fleet.places, spool.census())
    foreseen = connections_after(planned.tally, fleet.places, planned.census)
    assert +foreseen == +recounted


PLACES = Places(
    domain=DOMAIN,
    clusters={name: place(name) for name in RESIDENCIES},
    default=("eu1",),
    default_follows_the_place=False,
    pins={},
)
US = Target(cluster="us1")


def tally_of(changes: int) -> Tally:
    tally = Tally(changes=changes)
    tally.moves[DEFAULT, US] = changes
    return tally


def census_of(size: int, at_us: int = 0) -> Census:
    return Census(size, {DEFAULT: size - at_us, US: at_us}, at_us)


@pytest.mark.parametrize(
    ("changes", "size", "yes_really", "is_allowed"),
    [
        (FREE_DEVICES, 10, None, True),
        (FREE_DEVICES + 1, 11, None, False),
        (100, 1_000, None, True),
        (101, 1_000, None, False),
        (101, 1_009, None, False),
        (101, 1_010, None, True),
        (101, 1_000, 101, True),
        (101, 1_000, 100, False),
        (5, 1_000, 6, False),
    ],
)
def test_a_plan_changes_a_tenth_of_the_fleet_or_says_how_many(
    changes: int,
    size: int,
    yes_really: int | None,
    is_allowed: bool,
) -> None:
    limits = Limits(max_share_percent=10, yes_really=yes_really)
    if is_allowed:
        check_fleet(tally_of(changes), limits, PLACES, lambda: census_of(size))
        return
    with pytest.raises(RefusedError, match="--yes-really"):
        check_fleet(tally_of(changes), limits, PLACES, lambda: census_of(size))


@pytest.mark.parametrize(("arrive", "is_allowed"), [(40, True), (41, False)])
def test_a_cluster_is_filled_to_its_headroom_and_no_further(arrive: int, is_allowed: bool) -> None:
    limits = Limits(max_share_percent=100, max_connections=1_000)
    if is_allowed:
        check_fleet(tally_of(arrive), limits, PLACES, lambda: census_of(10_000, at_us=760))
        return
    with pytest.raises(RefusedError, match="capacity: us1 would have 801 connections"):
        check_fleet(tally_of(arrive), limits, PLACES, lambda: census_of(10_000, at_us=760))


@pytest.mark.parametrize(("quota", "is_allowed"), [(10, True), (9, False)])
def test_devices_do_not_arrive_faster_than_the_quota_allows(quota: int, is_allowed: bool) -> None:
    assert ASKS_PER_SECOND == 8, "or the table above means something else: 8 is 80 % of 10"
    limits = Limits(max_share_percent=100, max_connects_per_second=quota)
    if is_allowed:
        check_fleet(tally_of(1_000), limits, PLACES, lambda: census_of(10_000))
        return
    with pytest.raises(RefusedError, match="8 arrivals a second"):
        check_fleet(tally_of(1_000), limits, PLACES, lambda: census_of(10_000))


@pytest.mark.parametrize(
    ("stated", "says"),
    [
        ({"max_connections": 1_000}, "capacity: us1 would have 1001 connections; 1000 are its quota"),
        ({"max_connects_per_second": 9}, "its CONNECT quota is 9"),
    ],
)
def test_the_quotas_are_those_the_stack_states_unless_somebody_knows_better(stated: dict[str, int], says: str) -> None:
    clusters = dict(PLACES.clusters) | {"us1": replace(PLACES.clusters["us1"], **stated)}  # type: ignore[arg-type]
    places = replace(PLACES, clusters=clusters)
    with pytest.raises(RefusedError, match=says):
        check_fleet(tally_of(41), Limits(max_share_percent=100), places, lambda: census_of(10_000, at_us=960))
    known = Limits(max_share_percent=100, max_connections=10_000, max_connects_per_second=100)
    check_fleet(tally_of(41), known, places, lambda: census_of(10_000, at_us=960))


def test_a_plan_may_empty_a_cluster_that_is_over_full() -> None:
    tally = Tally(changes=100)
    tally.moves[US, Target(cluster="eu2")] = 100
    limits = Limits(max_share_percent=100, max_connections=1_000)
    check_fleet(tally, limits, PLACES, lambda: census_of(2_000, at_us=1_500))


def test_a_small_plan_asks_nobody_for_the_whole_fleet() -> None:
    def census() -> Census:
        raise AssertionError("the fleet was counted for ten devices")

    check_fleet(tally_of(FREE_DEVICES), Limits(max_share_percent=1), PLACES, census)
