"""The alarms and the dashboard of a cluster, as plain values."""

import json
from dataclasses import replace
from typing import Any

import pytest

from components.alarms import DAY_SECONDS, Alarm, Watched, cluster_alarms
from components.dashboard import dashboard_body
from stacks.environment import AlarmThresholds

EVALUATION_LIMIT_SECONDS = 7 * DAY_SECONDS
"""CloudWatch: an alarm with periods of an hour or more looks back at most a week."""

THRESHOLDS = AlarmThresholds(rule_errors=2, registrations_refused=5, dead_letters_waiting=3, authority_expiry_days=180)
WATCHED = Watched(
    cluster="eu1",
    region="eu-north-1",
    rules={"batch": "flotilla_dev_batch"},
    functions={"ingest": "flotilla-dev-ingest"},
    queues={"telemetry": "flotilla-dev-telemetry-dead-letters"},
    authorities=("line-a", "line-b"),
)


@pytest.fixture
def alarms() -> dict[str, Alarm]:
    return {alarm.thing: alarm for alarm in cluster_alarms(WATCHED, THRESHOLDS, environment="dev")}


@pytest.mark.parametrize(
    ("thing", "metric", "dimensions", "threshold"),
    [
        (
            "rule-batch-failed",
            "AWS/IoT Failure",
            {"RuleName": "flotilla_dev_batch", "ActionType": "Lambda"},
            2,
        ),
        ("rule-batch-throttled", "AWS/IoT RuleMessageThrottled", {"RuleName": "flotilla_dev_batch"}, 2),
        ("registrations-refused", "Flotilla RegistrationsRefused", {"Environment": "dev"}, 5),
        (
            "telemetry-dead-letters",
            "AWS/SQS ApproximateNumberOfMessagesVisible",
            {"QueueName": "flotilla-dev-telemetry-dead-letters"},
            3,
        ),
        ("ingest-errors", "AWS/Lambda Errors", {"FunctionName": "flotilla-dev-ingest"}, 1),
        (
            "authority-line-a-expiring",
            "Flotilla AuthorityDaysLeft",
            {"Environment": "dev", "Authority": "line-a"},
            180,
        ),
    ],
)
def test_each_trouble_has_an_alarm_on_its_own_metric(
    thing: str, metric: str, dimensions: dict[str, str], threshold: int, alarms: dict[str, Alarm]
) -> None:
    alarm = alarms[thing]
    assert f"{alarm.namespace} {alarm.metric}" == metric
    assert dict(alarm.dimensions) == dimensions
    assert alarm.threshold == threshold


def test_a_stream_has_its_own_alarms_and_its_rule_another_action() -> None:
    gathered = replace(WATCHED, streams={"batch": "flotilla-dev-batches"})
    before = {alarm.thing: alarm for alarm in cluster_alarms(WATCHED, THRESHOLDS, environment="dev")}
    after = {alarm.thing: alarm for alarm in cluster_alarms(gathered, THRESHOLDS, environment="dev")}
    assert after.keys() - before.keys() == {"batch-stream-late", "batch-stream-full"}
    assert before.keys() < after.keys()
    assert after["rule-batch-failed"].dimensions["ActionType"] == "Kinesis"
    late, full = after["batch-stream-late"], after["batch-stream-full"]
    assert (late.metric, late.threshold) == ("IteratorAge", 30 * 60 * 1000), "milliseconds"
    assert dict(late.dimensions) == {"FunctionName": "flotilla-dev-ingest"}
    assert (full.metric, full.threshold) == ("WriteProvisionedThroughputExceeded", 1)


def test_the_dashboard_shows_a_rule_by_what_it_does() -> None:
    gathered = replace(WATCHED, streams={"batch": "flotilla-dev-batches"})
    assert '"ActionType", "Kinesis"' in json.dumps(dashboard_body("dev", [gathered]))
    assert '"ActionType", "Kinesis"' not in json.dumps(dashboard_body("dev", [WATCHED]))


def test_overdue_routes_ring_once_for_the_environment_when_they_stand_and_when_nobody_counts() -> None:
    home = replace(WATCHED, sweeps_routes=True)
    elsewhere = cluster_alarms(WATCHED, THRESHOLDS, environment="dev")
    (alarm,) = (each for each in cluster_alarms(home, THRESHOLDS, environment="dev") if each not in elsewhere)
    assert (alarm.thing, alarm.metric, dict(alarm.dimensions)) == (
        "routes-overdue",
        "RoutesOverdue",
        {"Environment": "dev"},
    )
    assert (alarm.comparison, alarm.threshold) == ("GreaterThanOrEqualToThreshold", 1)
    assert alarm.silence == "breaching", "a sweep that stopped must not look like peace"
    assert alarm.period_seconds * alarm.periods == 900, "three sweeps had their chance"


def test_silence_is_good_news_but_for_the_count_of_days(alarms: dict[str, Alarm]) -> None:
    breaching = {thing for thing, alarm in alarms.items() if alarm.silence == "breaching"}
    assert breaching == {"authority-line-a-expiring", "authority-line-b-expiring"}


def test_an_expiring_authority_rings_below_its_days_and_after_two_days_of_silence(alarms: dict[str, Alarm]) -> None:
    alarm = alarms["authority-line-a-expiring"]
    assert (alarm.comparison, alarm.statistic) == ("LessThanThreshold", "Minimum")
    assert (alarm.period_seconds, alarm.periods) == (DAY_SECONDS, 2)


def test_every_other_alarm_rings_when_its_threshold_is_reached(alarms: dict[str, Alarm]) -> None:
    others = [alarm for alarm in alarms.values() if alarm.metric != "AuthorityDaysLeft"]
    assert {alarm.comparison for alarm in others} == {"GreaterThanOrEqualToThreshold"}


def test_no_alarm_looks_back_further_than_cloudwatch_does(alarms: dict[str, Alarm]) -> None:
    for alarm in alarms.values():
        limit = EVALUATION_LIMIT_SECONDS if alarm.period_seconds >= 3600 else DAY_SECONDS
        assert alarm.period_seconds * alarm.periods <= limit


def test_every_description_is_a_sentence_that_names_what_it_is_about(alarms: dict[str, Alarm]) -> None:
    for alarm in alarms.values():
        assert alarm.description.endswith("."), alarm.thing
        assert len(alarm.description) <= 1024, "CloudWatch takes 1024 characters"


def _graphs(body: dict[str, Any]) -> list[dict[str, Any]]:
    return [widget for widget in body["widgets"] if widget["type"] == "metric"]


def test_the_dashboard_has_a_row_a_cluster_and_no_widget_over_another() -> None:
    second = Watched(
        cluster="us1", region="us-east-1", rules=WATCHED.rules, functions={}, queues=WATCHED.queues, authorities=()
    )
    body = dashboard_body("dev", [WATCHED, second])
    taken: set[tuple[int, int]] = set()
    for widget in body["widgets"]:
        columns = range(widget["x"], widget["x"] + widget["width"])
        cells = {(x, y) for x in columns for y in range(widget["y"], widget["y"] + widget["height"])}
        assert max(columns) < 24, "the grid is 24 wide"
        assert not cells & taken, widget
        taken |= cells
    assert {graph["properties"]["region"] for graph in _graphs(body)} == {"eu-north-1", "us-east-1"}


def test_a_graph_without_metrics_is_left_out() -> None:
    empty = Watched(cluster="eu1", region="eu-north-1", rules={}, functions={}, queues={}, authorities=())
    titles = {graph["properties"]["title"] for graph in _graphs(dashboard_body("dev", [empty]))}
    assert titles == {"Batches", "Registrations", "Connections"}
    assert all(graph["properties"]["metrics"] for graph in _graphs(dashboard_body("dev", [WATCHED])))


def test_the_same_clusters_give_the_same_dashboard() -> None:
    assert json.dumps(dashboard_body("dev", [WATCHED])) == json.dumps(dashboard_body("dev", [WATCHED]))
