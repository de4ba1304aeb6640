"""A plan is carried out exactly, each change once, wherever the run dies and whatever Route 53 answers."""

import random
from dataclasses import replace
from datetime import timedelta

import pytest

from fleet.errors import RefusedError, UnfinishedError, WorldMovedError
from fleet.routing.plan_text import TextPlan
from fleet.routing.record_set import RecordSet
from fleet.routing.route_table import PlanProgress
from fleet.routing.target import DEFAULT
from fleet.routing.zone import MAX_BATCH_RECORDS, Create, Delete, Upsert
from tests.fleet.applying import CHANGES, EU1, GROUND, US1, Hazard, KilledError, World
from tests.fleet.plans import DOMAIN, change, header

WRITES = {"write", "advance", "write_plan", "write_batch", "claim_zone", "change"}
ZONE_CALLS = {"change", "is_in_sync", "page"}


def calls_of_one_run() -> list[str]:
    world, hazard = World(), Hazard()
    world.applier(hazard).apply(world.plan)
    return hazard.calls


CALLS = calls_of_one_run()


def test_a_plan_is_carried_out_and_told() -> None:
    world = World()
    told: list[int] = []
    applied = world.applier().apply(world.plan, told.append)
    world.is_exactly_the_plan()
    assert (applied.changes, applied.batches, applied.was_done) == (7, 3, False)
    assert applied.requests >= 6, "a request and a look for each batch"
    assert sum(told) == 7
    entry = world.table.read_plan(world.plan.digest)
    assert entry is not None
    assert (entry.progress, entry.begun_by) == (PlanProgress.DONE, "operator")


def test_a_plan_that_is_done_writes_nothing_when_it_is_applied_again() -> None:
    world, hazard = World(), Hazard()
    world.applier().apply(world.plan)
    assert world.applier(hazard).apply(world.plan).was_done
    assert not WRITES & set(hazard.calls)


def test_the_table_knows_before_the_zone_does() -> None:
    first = {name: CALLS.index(name) for name in ("claim_zone", "read", "write_plan", "write_batch", "write", "change")}
    assert list(first.values()) == sorted(first.values()), f"the order of the first calls is {first}"


@pytest.mark.parametrize("when", ["kill before", "kill after"])
@pytest.mark.parametrize("number", range(len(CALLS)))
def test_a_run_killed_at_any_call_is_finished_by_the_next(number: int, when: str) -> None:
    world = World()
    with pytest.raises(KilledError):
        world.applier(Hazard(lambda each, _: when if each == number else None)).apply(world.plan)
    world.nothing_is_lost()
    world.applier().apply(world.plan)
    world.is_exactly_the_plan()


@pytest.mark.parametrize("fault", ["lose before", "lose after", "throttle"])
@pytest.mark.parametrize("number", [number for number, name in enumerate(CALLS) if name in ZONE_CALLS])
def test_a_lost_or_refused_answer_of_route_53_changes_nothing(number: int, fault: str) -> None:
    world = World()
    world.applier(Hazard(lambda each, _: fault if each == number else None)).apply(world.plan)
    world.is_exactly_the_plan()


@pytest.mark.parametrize("seed", range(300))
def test_faults_upon_faults_converge(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - a seed to repeat, not a secret
    world = World()
    world.zone.busy_share = 0.1

    def strike(_number: int, name: str) -> str | None:
        drawn = chance.random()
        if drawn < 0.03:
            return chance.choice(["kill before", "kill after"])
        if name in ZONE_CALLS and drawn < 0.35:
            return chance.choice(["lose before", "lose after", "throttle"])
        return None

    for _ in range(200):
        try:
            world.applier(Hazard(strike)).apply(world.plan)
        except (KilledError, UnfinishedError):
            world.nothing_is_lost()
            if chance.random() < 0.2:
                world.zone.forget_changes()
        else:
            break
    world.applier().apply(world.plan)
    world.is_exactly_the_plan()


@pytest.mark.parametrize("number", [number for number, name in enumerate(CALLS) if name == "change"])
def test_two_runs_of_one_plan_at_once_do_no_harm(number: int) -> None:
    world = World()

    def strike(each: int, _name: str) -> None:
        if each == number:
            world.applier().apply(world.plan)

    world.applier(Hazard(strike)).apply(world.plan)
    world.is_exactly_the_plan()


@pytest.mark.parametrize("number", [number for number, name in enumerate(CALLS) if name in {"change", "write_batch"}])
def test_a_plan_is_finished_in_the_batches_it_was_begun_in(number: int) -> None:
    world = World()
    with pytest.raises(KilledError):
        world.applier(Hazard(lambda each, _: "kill after" if each == number else None), largest=3).apply(world.plan)
    applied = world.applier(largest=2).apply(world.plan)
    world.is_exactly_the_plan()
    assert applied.batches == 3, "the journal's numbers stand for batches of three"


def test_a_change_route_53_has_forgotten_is_proven_again() -> None:
    world = World()
    sent = CALLS.index("is_in_sync")
    with pytest.raises(KilledError):
        world.applier(Hazard(lambda each, _: "kill before" if each == sent else None)).apply(world.plan)
    world.zone.forget_changes()
    world.applier().apply(world.plan)
    world.is_exactly_the_plan()


def test_somebody_elses_record_stops_the_plan_and_is_left_alone() -> None:
    world = World()
    name = f"d4-moves.gw.{DOMAIN}"
    theirs = RecordSet(name, "CNAME", 60, (f"ap1.clusters.{DOMAIN}",))
    world.zone.change([Upsert(theirs)])
    with pytest.raises(UnfinishedError, match=r"d4-moves.*route check"):
        world.applier().apply(world.plan)
    assert world.zone.records[name] == {"CNAME": theirs}
    world.zone.change([Delete(theirs), Create(CHANGES[3].removes[0])])
    world.applier().apply(world.plan)
    world.is_exactly_the_plan()


def test_a_record_that_stands_in_the_way_is_told_in_route_53s_words() -> None:
    world = World()
    world.zone.change([Create(RecordSet(f"d1-comes.gw.{DOMAIN}", "TXT", 60, ('"hello"',)))])
    with pytest.raises(UnfinishedError, match="a CNAME cannot stand beside TXT"):
        world.applier().apply(world.plan)


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ({"environment": "production"}, "environment production"),
        ({"domain": "iot.example.org"}, "domain iot.example.org"),
        ({"zone_id": "ZOTHER"}, "zone_id ZOTHER"),
        ({"route_table": "other"}, "route_table other"),
        ({"clusters": {"eu1": "eu1.clusters.old.example.com"}}, "cluster eu1 was eu1.clusters.old"),
        ({"clusters": {"ap9": f"ap9.clusters.{DOMAIN}"}}, "no cluster any more"),
    ],
)
def test_a_plan_of_another_deployment_is_refused_untouched(what: dict[str, object], says: str) -> None:
    world, hazard = World(), Hazard()
    with pytest.raises(WorldMovedError, match=says):
        world.applier(hazard).apply(TextPlan.of(header(**what), CHANGES))
    assert "change" not in hazard.calls
    assert "write" not in hazard.calls


def test_a_route_that_moved_since_refuses_the_whole_plan() -> None:
    world = World()
    route = world.table.read([CHANGES[3].device])[CHANGES[3].device]
    world.table.write([replace(route, revision=2, plan="c" * 64, target=DEFAULT, changed_by="alice")])
    hazard = Hazard()
    with pytest.raises(WorldMovedError, match=r"d4-moves goes to default at revision 2 by alice, not to eu1 at 1"):
        world.applier(hazard).apply(world.plan)
    assert "change" not in hazard.calls
    assert world.zone.record_sets == world.started_with
    world.applier().apply(TextPlan.of(header(), [change("d1-comes", DEFAULT, EU1)]))


def test_a_device_that_was_pinned_meanwhile_is_not_touched_by_a_plan_that_goes_on() -> None:
    world = World()
    second = [number for number, name in enumerate(CALLS) if name == "change"][1]
    with pytest.raises(KilledError):
        world.applier(Hazard(lambda each, _: "kill before" if each == second else None)).apply(world.plan)
    applier = world.applier()
    applier.ground = replace(GROUND, pins={"d7-turns"})
    with pytest.raises(UnfinishedError, match="d7-turns pinned in the stack file since"):
        applier.apply(world.plan)
    name = f"d7-turns.gw.{DOMAIN}"
    assert set(world.zone.records[name].values()) == set(CHANGES[6].removes), "Pulumi's name now"
    assert world.table.history(CHANGES[6].device)[-1].plan != world.plan.digest


def test_a_plan_that_was_begun_is_not_finished_in_another_deployment() -> None:
    world = World()
    with pytest.raises(KilledError):
        world.applier(Hazard(lambda each, _: "kill after" if each == len(CALLS) // 2 else None)).apply(world.plan)
    hazard = Hazard()
    applier = world.applier(hazard)
    applier.ground = replace(GROUND, zone_id="ZOTHER")
    with pytest.raises(WorldMovedError, match="zone_id"):
        applier.apply(world.plan)
    assert not WRITES & set(hazard.calls)


def test_a_pinned_device_and_a_past_expiry_refuse_the_plan() -> None:
    world = World()
    past = replace(change("debugged", DEFAULT, EU1), expires=world.time.now)
    for changes, says in (([past], "which is past"), ([change("pinned1", DEFAULT, EU1)], "pinned in the stack file")):
        with pytest.raises(WorldMovedError, match=says):
            world.applier().apply(TextPlan.of(header(), changes))
    later = replace(past, expires=world.time.now + timedelta(seconds=1))
    world.applier().apply(TextPlan.of(header(), [later]))


def test_two_plans_do_not_change_the_zone_at_once() -> None:
    world = World()
    middle = CALLS.index("is_in_sync")
    with pytest.raises(KilledError):
        world.applier(Hazard(lambda each, _: "kill before" if each == middle else None)).apply(world.plan)
    other = TextPlan.of(header(), [replace(change("elsewhere", DEFAULT, US1), creates=())])
    with pytest.raises(RefusedError, match="being changed by operator"):
        world.applier(holder="alice").apply(other)
    world.time.sleep(timedelta(minutes=11).total_seconds())
    world.applier(holder="alice").apply(other)
    world.applier().apply(world.plan)
    world.is_exactly_the_plan()


def test_a_large_plan_asks_route_53_no_more_than_it_must() -> None:
    changes = tuple(change(f"d{number:05d}", DEFAULT, EU1) for number in range(100_000))
    world = World(changes=changes)
    applied = world.applier(largest=MAX_BATCH_RECORDS).apply(world.plan)
    assert world.zone.record_sets == world.wanted()
    assert world.zone.throttled == 0, "the pace is Route 53's own"
    assert applied.requests <= 200 + 20, "a batch and a look each, and a few looks to learn how patient to be"


def test_a_change_that_never_comes_into_sync_is_given_up_without_hammering() -> None:
    world, hazard = World(), Hazard()
    world.zone.is_in_sync = lambda change_id: False  # type: ignore[method-assign]
    with pytest.raises(UnfinishedError, match="has not brought change"):
        world.applier(hazard).apply(world.plan)
    assert hazard.calls.count("is_in_sync") < 100, "an hour, at most a look a minute once it is known to be slow"


def test_one_slow_change_does_not_make_the_others_wait_longer_than_route_53_usually_takes() -> None:
    world = World()
    slow = world.zone.is_in_sync
    began = world.time.now

    def is_in_sync(change_id: str) -> bool:
        return slow(change_id) and world.time.now > began + timedelta(minutes=30)

    world.zone.is_in_sync = is_in_sync  # type: ignore[method-assign]
    world.applier().apply(world.plan)
    assert world.time.now - began < timedelta(minutes=32)
    world.is_exactly_the_plan()


def test_a_run_that_waited_too_long_finds_out_that_the_zone_is_another_plans() -> None:
    world = World()
    other = TextPlan.of(header(), [change("elsewhere", DEFAULT, US1)])
    stalled: list[bool] = []

    def strike(_number: int, name: str) -> str | None:
        if name == "change" and not stalled:
            stalled.append(True)
            world.time.sleep(timedelta(minutes=11).total_seconds())
            world.table.claim_zone(
                other.digest, "alice", now=world.time.now, until=world.time.now + timedelta(minutes=10)
            )
            return "throttle"
        return None

    with pytest.raises(UnfinishedError, match=r"lost the zone on the way.*alice"):
        world.applier(Hazard(strike)).apply(world.plan)
    assert world.zone.record_sets == world.started_with, "what was put off is not sent into another plan's zone"
