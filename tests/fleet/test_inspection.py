"""A fleet inspected over the real applier and a Route 53 with its limits: clean after every plan and every repair."""

import random
from collections.abc import Sequence
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from fleet.inspection import FleetInspection, Inspected
from fleet.routing.finding import Rule
from fleet.routing.places import Place, Places
from fleet.routing.plan import Change
from fleet.routing.plan_text import TextPlan
from fleet.routing.record_set import RecordSet, project
from fleet.routing.sample import Sample
from fleet.routing.target import DEFAULT, Target
from fleet.routing.zone import Delete, Upsert
from tests.fleet.applying import EU1, GATEWAY, GROUND, US1, Hazard, KilledError, World
from tests.fleet.plans import DOMAIN, change, header
from tests.fleet.test_answer import held
from tests.fleet.test_inspect import own

PLACES = Places(
    domain=DOMAIN,
    clusters={
        name: Place(
            kind="managed", residency="EU", server_name=server, max_connections=500_000, max_connects_per_second=500
        )
        for name, server in GROUND.clusters.items()
    },
    default=("eu1",),
    default_follows_the_place=False,
    pins={},
)
DEVICES = ("d", "d-1", "d1", "d2", "d2-")


def inspect(world: World) -> tuple[Inspected, list[Change]]:
    world.time.sleep(1)  # each command paces itself from its own start
    inspected = Inspected()
    inspection = FleetInspection(
        places=PLACES,
        table=world.table,
        page=world.applier().writer.page,
        resolver=None,
        sample_size=10,
        owner="on call",
        clock=world.time.clock,
    )
    return inspected, list(inspection.run(inspected, lambda _: None))


def is_clean(world: World) -> bool:
    inspected, changes = inspect(world)
    return (inspected.findings, changes) == ([], [])


CHANGES = st.dictionaries(
    st.sampled_from([device for device in DEVICES if not device.endswith("-")]),
    st.tuples(*[st.sampled_from([DEFAULT, EU1, US1, GATEWAY])] * 2),
    max_size=4,
).map(
    lambda wanted: tuple(
        change(device, before, after, 2 if before != DEFAULT else 1)
        for device, (before, after) in sorted(wanted.items())
        if before != after
    )
)
VANDALISM = st.lists(
    st.tuples(
        st.sampled_from(["d", "d-1", "d1", "d2", "x.d", "y.x.d", "x.d-1", "_z.d2"]),
        st.sampled_from(["gone", "CNAME", "A", "AAAA", "TXT"]),
        st.sampled_from([60, 300]),
    ),
    max_size=6,
)
VALUES = {"CNAME": f"eu1.clusters.{DOMAIN}", "A": "192.0.2.66", "AAAA": "2001:db8::66", "TXT": '"was here"'}


def vandalise(world: World, doings: Sequence[tuple[str, str, int]]) -> None:
    """Whatever Route 53 lets anybody do: at each name, all goes and something else may come."""
    for label, kind, ttl in doings:
        name = f"{label}.gw.{DOMAIN}"
        standing = world.zone.records.get(name, {})
        keeps = kind in standing or (kind not in {"gone", "CNAME"} and "CNAME" not in standing)
        gone = [] if keeps else [Delete(records) for records in standing.values()]
        come = [] if kind == "gone" else [Upsert(RecordSet(name, kind, ttl, (VALUES[kind],)))]
        world.time.sleep(1)
        if gone or come:
            world.zone.change([*gone, *come])
    world.time.sleep(60)


@given(changes=CHANGES, doings=VANDALISM)
def test_plan_apply_check_is_empty_and_so_is_check_after_repair(
    changes: tuple[Change, ...], doings: list[tuple[str, str, int]]
) -> None:
    world = World(changes=changes)
    world.applier().apply(world.plan)
    assert is_clean(world), "plan, apply, check finds nothing"
    as_applied = set(world.zone.record_sets)
    vandalise(world, doings)

    inspected, repair = inspect(world)
    assert bool(inspected.findings) == (world.zone.record_sets != as_applied), "vandalism is found, and nothing else"
    world.applier().apply(TextPlan.of(header(), repair))
    assert is_clean(world)
    assert world.zone.record_sets == as_applied, "the zone is again what it was"


@given(changes=CHANGES, doings=VANDALISM, seed=st.integers(0, 2**32))
def test_a_repair_that_is_killed_or_gets_no_answer_is_finished_by_the_next_run(
    changes: tuple[Change, ...], doings: list[tuple[str, str, int]], seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311  # accidents, no secrets
    world = World(changes=changes)
    world.applier().apply(world.plan)
    as_applied = set(world.zone.record_sets)
    vandalise(world, doings)
    plan = TextPlan.of(header(), inspect(world)[1])

    def strike(_number: int, name: str) -> str | None:
        kinds = ["kill before", "kill after"] + (["lose before", "lose after"] if name == "change" else [])
        return chance.choice(kinds) if chance.random() < 0.2 else None

    for runs_left in range(20, -1, -1):
        try:
            world.applier(Hazard(strike) if runs_left else None).apply(plan)
            break
        except KilledError:
            continue
    assert is_clean(world)
    assert world.zone.record_sets == as_applied


def test_while_a_plan_is_under_way_its_devices_are_not_repaired_over_it() -> None:
    world = World()
    calls: list[str] = []

    def strike(_number: int, name: str) -> str | None:
        calls.append(name)
        return "kill before" if calls.count("change") == 2 else None

    with suppress(KilledError):
        world.applier(Hazard(strike)).apply(world.plan)
    inspected, repair = inspect(world)
    assert {each.rule for each in inspected.findings} == {Rule.UNFINISHED}
    assert repair == [], "the zone may hold its changes or not: only finishing it tells"
    assert world.plan.digest in {each.name for each in inspected.findings}


def test_a_fleet_of_several_pages_is_inspected_whole() -> None:
    targets = [EU1, US1, GATEWAY, Target(cluster="ap1")]
    world = World(changes=tuple(change(f"d{number:04}", DEFAULT, targets[number % 4]) for number in range(1_500)))
    world.applier(largest=1_000).apply(world.plan)
    throttled = world.zone.throttled
    assert is_clean(world)
    spoiled = [project(each.device, each.after, DOMAIN) for each in world.changes[::100]]
    world.zone.change([Delete(records) for records in spoiled if records])
    world.time.sleep(60)
    inspected, repair = inspect(world)
    assert [each.rule for each in inspected.findings] == [Rule.MISSING] * 15
    assert [each.device for each in repair] == [each.device for each in world.changes[::100]]
    assert world.zone.throttled == throttled, "Route 53's pace is kept"


def test_a_small_fleet_is_asked_about_whole_and_of_a_large_one_each_device_may_be() -> None:
    holdings = [held(f"d{number}", own(f"d{number}", US1)) for number in range(50)]
    whole = Sample(100, random.Random(1))  # noqa: S311  # a fair share, no secret
    for holding in holdings:
        whole.offer(holding)
    assert whole.kept == holdings
    chosen: set[str] = set()
    for seed in range(300):
        some = Sample(5, random.Random(seed))  # noqa: S311  # a fair share, no secret
        for holding in holdings:
            some.offer(holding)
        assert (len(some.kept), some.offered) == (5, 50)
        chosen |= {holding.label for holding in some.kept}
    assert len(chosen) == 50, "nobody is left out for good"
