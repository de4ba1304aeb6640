"""What plans and the applier rely on, held by the table in DynamoDB and by the one in memory alike."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config

from fleet.errors import RefusedError, UnfinishedError
from fleet.routing.dynamodb_route_table import DynamoRouteTable
from fleet.routing.route import Kind, Route, State
from fleet.routing.route_table import (
    MAX_WRITES,
    BatchEntry,
    BatchState,
    PlanEntry,
    PlanProgress,
    RouteTable,
    TableMovedError,
)
from fleet.routing.target import DEFAULT, Target
from local.aws_environment import aws_environment
from local.deployment import Deployment
from protocol.device_id import DeviceId
from protocol.routes import EXPIRY_INDEX
from tests.fleet.memory_route_table import MemoryRouteTable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

NOW = datetime(2126, 11, 24, 12, 0, 0, 123456, tzinfo=UTC)
"""So late that no sweep of the desk takes these routes for expired."""
PLAN, OTHER_PLAN = "a" * 64, "b" * 64
US1 = Target(cluster="us1")
_number = count()


def fresh_device() -> DeviceId:
    """A device no test has used: the table is one for the whole session."""
    return DeviceId(f"table-{next(_number)}")


def route(device: DeviceId, **changed: Any) -> Route:
    first = Route(
        device=device,
        revision=1,
        target=US1,
        kind=Kind.MOVE,
        owner="operations",
        reason="a test, with ünïcode",
        expires=None,
        returns_to=DEFAULT,
        state=State.PENDING,
        changed_by="operator",
        changed_at=NOW,
        plan=PLAN,
    )
    return replace(first, **changed)


@pytest.fixture(scope="module")
def dynamodb(dev_desk: Deployment) -> "DynamoDBClient":
    variables = aws_environment(dev_desk.record)
    return boto3.client(
        "dynamodb",
        region_name=dev_desk.outputs.home_region,
        endpoint_url=variables["AWS_ENDPOINT_URL"],
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        config=Config(retries={"total_max_attempts": 1}),
    )


@pytest.fixture(scope="module", params=["dynamodb", "memory"])
def table(request: pytest.FixtureRequest) -> Iterator[RouteTable]:
    if request.param == "memory":
        yield MemoryRouteTable()
        return
    deployment: Deployment = request.getfixturevalue("dev_desk")
    yield DynamoRouteTable(request.getfixturevalue("dynamodb"), deployment.outputs.routing.route_table)


def test_a_route_is_read_back_as_it_was_written(table: RouteTable) -> None:
    debug = route(fresh_device(), kind=Kind.DEBUG, expires=NOW + timedelta(hours=4), returns_to=US1)
    address = route(
        fresh_device(),
        target=Target.parse("2001:db8::7"),
        state=State.POINTED,
        state_since=NOW,
        approved_by="the data officer",
    )
    table.write([debug, address])
    unknown = fresh_device()
    assert table.read([debug.device, address.device, unknown]) == {debug.device: debug, address.device: address}
    assert {debug.device, address.device} <= {each.device for each in table.scan()}
    assert table.history(unknown) == ()


def test_every_revision_stays_in_the_history_and_only_the_newest_stands(table: RouteTable) -> None:
    device = fresh_device()
    revisions = [
        route(device, revision=number, plan=f"{number}" * 64, reason=f"change {number}") for number in range(1, 13)
    ]
    for revision in revisions:
        table.write([revision])
    assert table.history(device) == tuple(revisions), "oldest first, by number and not by text"
    assert table.read([device]) == {device: revisions[-1]}
    assert [each for each in table.scan() if each.device == device] == [revisions[-1]]


def test_single_revisions_are_read_for_many_devices_at_once(table: RouteTable) -> None:
    once, twice, never = (fresh_device() for _ in range(3))
    first, second = route(twice), route(twice, revision=2, plan=OTHER_PLAN, reason="again")
    table.write([route(once), first])
    table.write([second])
    assert table.revisions({once: 1, twice: 1, never: 1}) == {once: route(once), twice: first}
    assert table.revisions({once: 0, twice: 2}) == {twice: second}, "revision 0 is no line of a history"
    assert table.revisions({once: 2}) == {}


def test_more_routes_than_one_request_carries_are_read_and_scanned(table: RouteTable) -> None:
    routes = [route(fresh_device()) for _ in range(230)]
    for start in range(0, len(routes), MAX_WRITES):
        table.write(routes[start : start + MAX_WRITES])
    wanted = {each.device: each for each in routes}
    assert table.read(iter(wanted)) == wanted
    assert {each.device for each in table.scan()} >= set(wanted)
    with pytest.raises(ValueError, match="at most"):
        table.write(routes[: MAX_WRITES + 1])


def test_writing_the_same_again_changes_nothing(table: RouteTable) -> None:
    routes = [route(fresh_device()), route(fresh_device())]
    table.write(routes)
    table.write(routes)
    assert [table.history(each.device) for each in routes] == [(each,) for each in routes]


def test_a_write_on_another_revision_is_refused_as_a_whole(table: RouteTable) -> None:
    ours, moved = fresh_device(), fresh_device()
    theirs = route(moved, plan=OTHER_PLAN)
    table.write([theirs])
    with pytest.raises(TableMovedError) as caught:
        table.write([route(ours), route(moved)])
    assert caught.value.devices == {ours, moved}, "neither was written, so both are told"
    assert table.read([ours, moved]) == {moved: theirs}
    with pytest.raises(TableMovedError):
        table.write([route(moved, revision=3)])
    assert table.history(moved) == (theirs,)


def test_a_state_goes_forward_only_and_only_for_the_plan_that_made_it(table: RouteTable) -> None:
    ours, theirs = route(fresh_device()), route(fresh_device(), plan=OTHER_PLAN)
    table.write([ours])
    table.write([theirs])
    both, later = [ours.device, theirs.device], NOW + timedelta(minutes=1)
    table.advance(PLAN, both, State.ARRIVED, at=later)
    table.advance(PLAN, both, State.POINTED, at=NOW)
    arrived = replace(ours, state=State.ARRIVED, state_since=later)
    assert table.read(both) == {ours.device: arrived, theirs.device: theirs}
    assert table.history(ours.device) == (arrived,), "the history shows how far a revision came"


def test_many_states_go_forward_in_one_call(table: RouteTable) -> None:
    routes = [route(fresh_device()) for _ in range(130)]
    for start in range(0, len(routes), MAX_WRITES):
        table.write(routes[start : start + MAX_WRITES])
    devices = [each.device for each in routes]
    table.advance(PLAN, devices, State.POINTED, at=NOW)
    assert {each.state for each in table.read(devices).values()} == {State.POINTED}


def test_only_standing_routes_whose_expiry_has_come_are_expired(table: RouteTable) -> None:
    past, now, future, replaced, never = (fresh_device() for _ in range(5))
    debug = {"kind": Kind.DEBUG}
    table.write([route(past, expires=NOW - timedelta(microseconds=1), **debug), route(now, expires=NOW, **debug)])
    table.write([route(future, expires=NOW + timedelta(microseconds=1), **debug), route(never)])
    table.write([route(replaced, expires=NOW, **debug)])
    table.write([route(replaced, revision=2, plan=OTHER_PLAN)])
    ours = {past, now, future, replaced, never}
    assert {each.device for each in table.expired(NOW)} & ours == {past, now}
    for each in (past, now):
        table.write([route(each, revision=2, plan=OTHER_PLAN)])
    assert not {each.device for each in table.expired(NOW)} & ours


def test_the_journal_of_a_plan_is_read_back(table: RouteTable) -> None:
    plan = f"{next(_number):064x}"
    assert table.read_plan(plan) is None
    assert table.read_batches(plan) == {}
    begun = PlanEntry(
        plan=plan, progress=PlanProgress.BEGUN, begun_by="operator", begun_at=NOW, done_at=None, largest_batch=1000
    )
    table.write_plan(begun)
    assert table.read_plan(plan) == begun
    for number in range(12):
        table.write_batch(plan, BatchEntry(number=number, state=BatchState.SENDING, change_id=""))
    sent = BatchEntry(number=11, state=BatchState.SENT, change_id="/change/C1")
    table.write_batch(plan, sent)
    batches = table.read_batches(plan)
    assert list(batches) == list(range(12))
    assert batches[11] == sent
    assert batches[0].state is BatchState.SENDING
    done = replace(begun, progress=PlanProgress.DONE, done_at=NOW, largest_batch=1000)
    table.write_plan(done)
    assert table.read_plan(plan) == done
    assert not [each for each in table.scan() if each.device.startswith("#")], "the journal holds no routes"


def test_one_plan_at_a_time_may_change_the_zone(table: RouteTable) -> None:
    until = NOW + timedelta(minutes=5)
    table.claim_zone(PLAN, "alice", now=NOW, until=until)
    table.claim_zone(PLAN, "bob", now=NOW, until=until)
    with pytest.raises(RefusedError, match=r"bob .* plan aaaaaaaaaaaa"):
        table.claim_zone(OTHER_PLAN, "carol", now=until, until=until)
    table.release_zone(OTHER_PLAN)
    with pytest.raises(RefusedError):
        table.claim_zone(OTHER_PLAN, "carol", now=until, until=until)
    after = until + timedelta(microseconds=1)
    table.claim_zone(OTHER_PLAN, "carol", now=after, until=after + timedelta(minutes=5))
    with pytest.raises(RefusedError, match="carol"):
        table.claim_zone(PLAN, "alice", now=after, until=until)
    table.release_zone(OTHER_PLAN)
    table.claim_zone(PLAN, "alice", now=after, until=after)
    table.release_zone(PLAN)


def test_a_table_that_is_not_there_is_said_with_the_way_out(dynamodb: "DynamoDBClient") -> None:
    table = DynamoRouteTable(dynamodb, "no-such-table")
    for ask in (lambda: table.read([DeviceId("device1")]), lambda: list(table.scan()), lambda: table.read_plan(PLAN)):
        with pytest.raises(UnfinishedError, match=r"route table no-such-table: .*run this again"):
            ask()


def test_an_item_that_is_no_route_is_named(dynamodb: "DynamoDBClient", dev_desk: Deployment) -> None:
    name, device = dev_desk.outputs.routing.route_table, fresh_device()
    vandal: dict[str, Any] = {"device": {"S": device}, "revision": {"N": "0"}, "latest": {"N": "1"}}
    dynamodb.put_item(TableName=name, Item=vandal)
    try:
        with pytest.raises(UnfinishedError, match=f"{device}.* is no route"):
            DynamoRouteTable(dynamodb, name).read([device])
    finally:
        dynamodb.delete_item(TableName=name, Key={key: vandal[key] for key in ("device", "revision")})


def test_the_index_of_expiring_routes_is_sparse(dynamodb: "DynamoDBClient", dev_desk: Deployment) -> None:
    name, device = dev_desk.outputs.routing.route_table, fresh_device()
    table = DynamoRouteTable(dynamodb, name)
    table.write([route(device, kind=Kind.DEBUG, expires=NOW)])
    table.write([route(device, revision=2, plan=OTHER_PLAN)])
    index = dynamodb.scan(TableName=name, IndexName=EXPIRY_INDEX)["Items"]
    assert device not in {item["device"]["S"] for item in index}
