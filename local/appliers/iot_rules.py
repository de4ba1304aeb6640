"""AWS IoT Core's topic rules."""

from collections.abc import Mapping
from typing import Any

from local.appliers.applier import Answer, Applier, Request, gone

_ACTIONS = {
    "cloudwatchAlarms": "cloudwatchAlarm",
    "cloudwatchLogs": "cloudwatchLogs",
    "cloudwatchMetrics": "cloudwatchMetric",
    "dynamodbv2s": "dynamoDBv2",
    "firehoses": "firehose",
    "kineses": "kinesis",
    "lambdas": "lambda",
    "republishes": "republish",
    "s3": "s3",
    "sns": "sns",
    "sqs": "sqs",
    "stepFunctions": "stepFunctions",
}
"""Pulumi's name of a list of actions, and the API's name of one."""
_ERROR_ACTIONS = {"dynamodbv2": "dynamoDBv2"}
_STORED_ONLY = ("cloudwatchAlarm", "cloudwatchLogs", "cloudwatchMetric", "firehose", "kinesis", "s3", "stepFunctions")
"""Actions MiniStack 1.5.33 keeps and never runs (facts, "Does not have")."""
_OTHER_INPUTS = frozenset({"description", "enabled", "errorAction", "name", "region", "sql", "sqlVersion", "tags"})


def _create_rule(request: Request) -> Answer:
    name = request.physical_name()
    tags = "&".join(f"{key}={value}" for key, value in sorted(request.inputs.get("tags", {}).items()))
    payload, gaps = _payload(request.inputs)
    request.client("iot").create_topic_rule(ruleName=name, topicRulePayload=payload, **({"tags": tags} if tags else {}))
    return Answer(name, {"arn": _arn(request, name), "name": name}, gaps)


def _replace_rule(request: Request, former: Answer) -> Answer:
    payload, gaps = _payload(request.inputs)
    request.client("iot").replace_topic_rule(ruleName=former.id, topicRulePayload=payload)
    return Answer(former.id, former.outputs, gaps)


def _payload(inputs: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The rule in the API's form, and which of its actions never run here."""
    unknown = inputs.keys() - _ACTIONS.keys() - _OTHER_INPUTS
    if unknown:
        raise ValueError(f"the rule has {', '.join(sorted(unknown))}, which the desk does not know how to write")
    actions = [{name: action} for key, name in _ACTIONS.items() for action in inputs.get(key, [])]
    payload = {
        "sql": inputs["sql"],
        "awsIotSqlVersion": inputs["sqlVersion"],
        "ruleDisabled": not inputs["enabled"],
        "description": inputs.get("description", ""),
        "actions": actions,
    }
    error = {_ERROR_ACTIONS.get(key, key): action for key, action in inputs.get("errorAction", {}).items()}
    if error:
        payload["errorAction"] = error
    used = {name for action in [*actions, error] for name in action}
    stored = sorted(used.intersection(_STORED_ONLY))
    return payload, tuple(f"the rule's action {name} is stored, never run" for name in stored)


def _arn(request: Request, name: str) -> str:
    return f"arn:aws:iot:{request.region}:{request.cloud.account}:rule/{name}"


def _delete_rule(request: Request, former: Answer) -> None:
    gone(lambda: request.client("iot").delete_topic_rule(ruleName=former.id))


APPLIERS = {"aws:iot/topicRule:TopicRule": Applier(_create_rule, _delete_rule, _replace_rule)}
