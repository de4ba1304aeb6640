"""The sweep as it is deployed: packaged, with its role, started by its schedule."""

import json
from datetime import timedelta
from typing import Any

import pytest

from fleet.routing.route import Kind, State
from fleet.routing.target import DEFAULT
from local.deployment import Deployment
from tests.functions.sweep_bench import DESK, Bench

pytestmark = pytest.mark.cloud
FUNCTION = "flotilla-dev-route-sweep"


@pytest.fixture
def bench(dev_desk: Deployment) -> Bench:
    """The desk is shared: what other tests left to expire goes home first."""
    bench = Bench(dev_desk)
    invoke(bench)
    return bench


def invoke(bench: Bench) -> Any:
    """Start the function as its schedule does, and wait for what it answers."""
    event = json.dumps({"source": "aws.events", "detail-type": "Scheduled Event"}).encode()
    answer = bench.client("lambda").invoke(FunctionName=FUNCTION, Payload=event)
    said = json.load(answer["Payload"])
    assert "FunctionError" not in answer, said
    return said


def test_the_deployed_function_takes_an_expired_redirect_back_once(bench: Bench) -> None:
    (device,) = bench.redirect("deployed1")
    times, total = bench.told("RoutesSwept")
    assert invoke(bench) == {"left": {}, "swept": 1, "overdue": []}
    assert bench.addresses(device) == [], "the wildcard answers for it again"
    first, second = bench.table.history(device)
    assert (first.target, first.kind, first.changed_by) == (DESK, Kind.DEBUG, "engineer"), "why it was there stays"
    assert (second.target, second.expires, second.state) == (DEFAULT, None, State.POINTED)
    assert second.changed_by == FUNCTION
    assert bench.told("RoutesSwept") == (times + 1, total + 1)

    assert invoke(bench) == {"left": {}, "swept": 0, "overdue": []}
    assert bench.table.history(device) == (first, second), "a second run is harmless"


def test_what_a_person_began_and_could_not_finish_is_finished_by_the_function(bench: Bench) -> None:
    (device,) = bench.redirect("deployed2")
    assert "waits" in bench.run(left=timedelta(milliseconds=500)), "cut short with the zone changed and nothing proven"
    assert invoke(bench)["swept"] == 1
    assert [route.changed_by for route in bench.table.history(device)] == ["engineer", "tests"]


def test_the_schedule_starts_the_function_and_may(bench: Bench) -> None:
    events, function = bench.client("events"), bench.client("lambda")
    rule = events.describe_rule(Name=FUNCTION)
    assert rule["ScheduleExpression"] == "rate(5 minutes)"
    (target,) = events.list_targets_by_rule(Rule=FUNCTION)["Targets"]
    found = function.get_function(FunctionName=FUNCTION)["Configuration"]
    assert target["Arn"] == found["FunctionArn"]
    assert found["Timeout"] == 300, "time for Route 53 to come into sync"
    (statement,) = json.loads(function.get_policy(FunctionName=FUNCTION)["Policy"])["Statement"]
    assert statement["Principal"] == {"Service": "events.amazonaws.com"}
    assert rule["Arn"] in json.dumps(statement["Condition"]), "no other schedule may"


def test_the_function_may_not_do_what_its_role_does_not_say(bench: Bench) -> None:
    roles = bench.client("iam").list_role_policies(RoleName=FUNCTION)["PolicyNames"]
    assert roles == ["route-sweep"]
    document = bench.client("iam").get_role_policy(RoleName=FUNCTION, PolicyName="route-sweep")["PolicyDocument"]
    allowed = {action for one in document["Statement"] if one["Effect"] == "Allow" for action in listed(one["Action"])}
    assert not allowed & {"dynamodb:Scan", "dynamodb:BatchWriteItem", "iam:PassRole"}
    assert {action.partition(":")[0] for action in allowed} == {"dynamodb", "route53", "cloudwatch", "logs"}


def listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
