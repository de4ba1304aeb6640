"""A plan is taken back to the byte, as far as it was carried out, and what others did since stays."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.errors import RefusedError, WorldMovedError
from fleet.routing.plan import Change, Plan
from fleet.routing.plan_text import TextPlan
from fleet.routing.rollback import Rollback
from fleet.routing.route import Kind
from fleet.routing.route_table import PlanProgress
from fleet.routing.target import DEFAULT, Target
from tests.fleet.applying import CHANGES, EU1, US1, Hazard, KilledError, World
from tests.fleet.plans import DEVICES, DOMAIN, TARGETS, change, header
from tests.fleet.test_applier import CALLS


def rolled_back(world: World) -> tuple[Rollback, Plan]:
    """Stop, plan the rollback, carry it out: as the command does."""
    applier = world.applier()
    applier.stop(world.plan)
    rollback = Rollback(plan=world.plan, table=world.table, now=world.time.now)
    back = TextPlan.of(header(undoes=world.plan.digest), tuple(rollback.changes()))
    applier.apply(back)
    return rollback, back


def everything_is_as_before(world: World, before: World) -> None:
    assert world.zone.record_sets == world.started_with, "to the byte: name, type, TTL and values"
    former = before.table.read(each.device for each in world.changes)
    for each in world.changes:
        now, then = world.table.read([each.device]).get(each.device), former.get(each.device)
        if then is None:
            assert now is None or now.target == DEFAULT
            continue
        assert now is not None
        assert (now.target, now.kind, now.owner, now.reason) == (then.target, then.kind, then.owner, then.reason)
        assert (now.expires, now.returns_to) == (then.expires, then.returns_to)


def test_a_plan_that_is_done_is_taken_back() -> None:
    world = World()
    world.applier().apply(world.plan)
    rollback, _ = rolled_back(world)
    everything_is_as_before(world, World())
    assert (rollback.undone, rollback.never_done, rollback.changed_since) == (7, 0, 0)
    lengths = {each.device: len(world.table.history(each.device)) for each in CHANGES}
    assert lengths == {each.device: each.revision + 1 for each in CHANGES}, "a rollback is history, too"


@given(st.dictionaries(DEVICES, st.tuples(TARGETS, TARGETS), min_size=1, max_size=8))
def test_any_plan_and_its_rollback_leave_the_zone_as_it_was(moves: dict[str, tuple[Target, Target]]) -> None:
    changes = tuple(
        change(device, before, after, 1 if before.is_default else 2)
        for device, (before, after) in sorted(moves.items())
        if before != after
    )
    world = World(changes=changes)
    world.applier().apply(world.plan)
    rolled_back(world)
    assert world.zone.record_sets == world.started_with


@pytest.mark.parametrize("when", ["kill before", "kill after"])
@pytest.mark.parametrize("number", range(CALLS.index("write_plan") + 1, len(CALLS)))
def test_a_plan_killed_anywhere_is_taken_back_as_far_as_it_came(number: int, when: str) -> None:
    world = World()
    with pytest.raises(KilledError):
        world.applier(Hazard(lambda each, _: when if each == number else None)).apply(world.plan)
    rollback, _ = rolled_back(world)
    everything_is_as_before(world, World())
    assert rollback.undone + rollback.never_done == 7
    entry = world.table.read_plan(world.plan.digest)
    assert entry is not None
    if entry.progress is PlanProgress.STOPPED:
        with pytest.raises(WorldMovedError, match="was rolled back"):
            world.applier().apply(world.plan)


def test_stopping_finishes_what_was_begun_and_begins_nothing() -> None:
    world = World()
    second = [number for number, name in enumerate(CALLS) if name == "change"][1]
    with pytest.raises(KilledError):
        world.applier(Hazard(lambda each, _: "kill before" if each == second else None)).apply(world.plan)
    world.applier().stop(world.plan)
    begun = {each.device for each in CHANGES[:6]}
    assert {
        each.device
        for each in CHANGES
        if world.table.history(each.device)[-1:] and world.table.history(each.device)[-1].plan == world.plan.digest
    } == begun
    world.applier().stop(world.plan)
    assert world.table.history(CHANGES[6].device)[-1].plan != world.plan.digest


def test_what_another_plan_changed_since_stays_and_is_named() -> None:
    world = World()
    world.applier().apply(world.plan)
    theirs = replace(change("d4-moves", US1, EU1, 3), reason="closer to its owner")
    world.applier(holder="alice").apply(TextPlan.of(header(), [theirs]))
    rollback, back = rolled_back(world)
    assert rollback.changed_since == 1
    assert rollback.named == {"d4-moves": "alice: closer to its owner"}
    assert "d4-moves" not in {each.device for each in back.changes()}
    assert world.zone.records[f"d4-moves.gw.{DOMAIN}"]["CNAME"].values == (f"eu1.clusters.{DOMAIN}",)


def test_a_redirect_that_expired_meanwhile_is_not_brought_back() -> None:
    world = World(changes=(change("debugged", Target.parse("192.0.2.100"), EU1, 2),))
    device = world.changes[0].device
    former = world.table.revisions_of[device][0]
    expires = world.time.now + timedelta(hours=1)
    world.table.revisions_of[device][0] = replace(former, kind=Kind.DEBUG, expires=expires, returns_to=US1)
    world.applier().apply(world.plan)
    world.time.sleep(timedelta(hours=2).total_seconds())
    _, back = rolled_back(world)
    (change_back,) = tuple[Change](back.changes())
    assert (change_back.after, change_back.kind, change_back.expires) == (US1, Kind.MOVE, None)


def test_a_plan_that_was_never_applied_is_not_rolled_back() -> None:
    world = World()
    with pytest.raises(RefusedError, match="never applied"):
        world.applier().stop(world.plan)
