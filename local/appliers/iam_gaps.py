"""What MiniStack's authorization does not know of IAM, made up for in the policies it is given, and said.

What the program asked for stays in the policy; a statement that the embedded AWS can satisfy is put beside it.
"""

import json
from typing import Any

ON_EVERY_RESOURCE = ("iot:AttachPolicy", "iot:DescribeCACertificate", "route53:GetChange")
"""Actions MiniStack 1.5.33 authorizes on the resource `*` only (ministack/core/iam_actions.py: it takes no ARN from the
paths of these calls). AWS authorizes them on the certificate, the CA certificate and the change, as our policies do."""
UNKNOWN_CONDITIONS = (
    "cloudwatch:namespace",
    "dynamodb:LeadingKeys",
    "route53:ChangeResourceRecordSetsActions",
    "route53:ChangeResourceRecordSetsNormalizedRecordNames",
    "route53:ChangeResourceRecordSetsRecordTypes",
)
"""Condition keys MiniStack 1.5.33 gives no value, so that a condition on one is never met (same file)."""


def widened(policy: str) -> tuple[str, tuple[str, ...]]:
    """The policy as the embedded AWS needs it, and what is thereby not emulated."""
    document: dict[str, Any] = json.loads(policy)
    added = [found for statement in document["Statement"] for found in _satisfiable(statement)]
    never = tuple(gap for statement in document["Statement"] for gap in _never_met(statement))
    if not added:
        return policy, never
    statements = [statement for statement, _ in added]
    text = json.dumps({**document, "Statement": [*document["Statement"], *statements]})
    return text, (*(gap for _, gap in added), *never)


def _satisfiable(statement: dict[str, Any]) -> list[tuple[dict[str, Any], str]]:
    """Statements the embedded AWS can satisfy in place of one it cannot, each with what it leaves out."""
    if statement["Effect"] != "Allow":
        return []
    actions, resources = _listed(statement["Action"]), _listed(statement["Resource"])
    condition = statement.get("Condition", {})
    found = []
    unlimited = [action for action in actions if action in ON_EVERY_RESOURCE and "*" not in resources]
    if unlimited:
        gap = f"the resources {' and '.join(unlimited)} is limited to: the role may do it to all"
        found.append((_allow(unlimited, ["*"], condition), gap))
    keys = _unknown(condition)
    if keys:
        gap = f"the condition {' and '.join(keys)} of {' and '.join(actions)}: it is not asked"
        found.append((_allow(actions, resources, _without(condition, keys)), gap))
    return found


def _never_met(statement: dict[str, Any]) -> list[str]:
    """What a refusal leaves out that the embedded AWS never finds its condition for."""
    keys = _unknown(statement.get("Condition", {}))
    if statement["Effect"] != "Deny" or not keys:
        return []
    actions = " and ".join(_listed(statement["Action"]))
    return [f"the refusal of {actions} by {' and '.join(keys)}: it is never met"]


def _unknown(condition: dict[str, Any]) -> list[str]:
    return sorted({key for test in condition.values() for key in test if key in UNKNOWN_CONDITIONS})


def _without(condition: dict[str, Any], keys: list[str]) -> dict[str, Any]:
    """The condition without its tests of `keys`."""
    rest = {operator: {key: test[key] for key in test if key not in keys} for operator, test in condition.items()}
    return {operator: test for operator, test in rest.items() if test}


def _allow(actions: list[str], resources: list[str], condition: dict[str, Any]) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Action": actions, "Resource": resources}
    return statement | ({"Condition": condition} if condition else {})


def _listed(value: str | list[str]) -> list[str]:
    return value if isinstance(value, list) else [value]
