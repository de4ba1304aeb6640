"""A batch of which nobody knows whether it was done: what the zone shows decides, and nothing is guessed."""

import pytest

from fleet.routing.batches import Batch
from fleet.routing.doubt import Conflict, Redo, SendAgain, decide, parked
from fleet.routing.plan import Change
from fleet.routing.record_set import RecordSet, project
from fleet.routing.target import DEFAULT, Target
from fleet.routing.zone import Create, Delete, Upsert
from protocol.device_id import DeviceId
from tests.fleet.plans import DOMAIN, change

EU1, US1, GATEWAY = Target(cluster="eu1"), Target(cluster="us1"), Target.parse("192.0.2.100")
COMES = change("comes", DEFAULT, EU1)
MOVES = change("moves", EU1, US1)
TURNS = change("turns", US1, GATEWAY)
GOES = change("goes", EU1, DEFAULT)


def records(device: str, target: Target) -> list[RecordSet]:
    found = project(DeviceId(device), target, DOMAIN)
    return [found] if found else []


def stand_in(of: Change) -> RecordSet:
    found = parked(of, DOMAIN)
    assert found is not None
    return found


def batch(*changes: Change) -> Batch:
    return Batch(0, changes)


ALL = batch(COMES, GOES, MOVES, TURNS)
BEFORE = [*records("moves", EU1), *records("turns", US1), *records("goes", EU1)]
AFTER = [*records("comes", EU1), *records("moves", US1), *records("turns", GATEWAY)]


def test_a_batch_that_was_not_done_is_sent_again() -> None:
    assert decide(ALL, BEFORE, DOMAIN) == SendAgain()


def test_a_batch_that_was_done_is_done_again_for_a_change_id() -> None:
    assert decide(ALL, AFTER, DOMAIN) == Redo(
        (
            tuple(Upsert(each) for each in AFTER),
            (Create(stand_in(GOES)),),
            (Delete(stand_in(GOES)),),
        )
    )


def test_a_stand_in_that_a_killed_run_left_is_deleted_and_not_made_again() -> None:
    found = decide(batch(GOES), [stand_in(GOES)], DOMAIN)
    assert found == Redo(((Delete(stand_in(GOES)),),))


def test_a_stand_in_says_what_the_wildcard_says() -> None:
    assert stand_in(GOES).values == (f"default.{DOMAIN}",)
    assert stand_in(GOES).name == f"goes.gw.{DOMAIN}"
    assert parked(MOVES, DOMAIN) is None


@pytest.mark.parametrize(
    ("standing", "odd"),
    [
        ([*records("moves", US1), *records("goes", EU1)], {"goes"}),
        ([*records("moves", EU1)], {"moves"}),
        ([*records("moves", Target(cluster="ap1"))], {"moves"}),
        ([*records("moves", GATEWAY)], {"moves"}),
        ([], {"moves"}),
    ],
    ids=["half done", "half undone", "another cluster", "another type", "vanished"],
)
def test_what_neither_side_explains_is_a_conflict(standing: list[RecordSet], odd: set[str]) -> None:
    found = decide(batch(GOES, MOVES), standing, DOMAIN)
    assert isinstance(found, Conflict)
    assert {each.device for each in found.changes} == odd


def test_another_time_to_live_is_somebody_elses_record() -> None:
    slow = [RecordSet(each.name, each.type, 300, each.values) for each in records("moves", US1)]
    assert isinstance(decide(batch(MOVES), slow, DOMAIN), Conflict)


def test_a_full_batch_is_done_again_in_halves() -> None:
    full = batch(*(change(f"d{number:04d}", DEFAULT, EU1) for number in range(1000)))
    standing = [each for change in full.changes for each in change.creates]
    found = decide(full, standing, DOMAIN)
    assert isinstance(found, Redo)
    assert [len(each) for each in found.batches] == [500, 500], "an upsert counts double"
