"""What a policy document is made of.

Wildcards: a document never grants a bare `*` action, and a bare `*` resource only where AWS has nothing narrower;
`tests/components/test_policies.py` holds both.
"""

from collections.abc import Mapping, Sequence
from typing import Any

Document = dict[str, Any]
Statement = dict[str, Any]
Condition = Mapping[str, Mapping[str, str | Sequence[str]]]

POLICY_VERSION = "2012-10-17"  # the current policy language; without it, policy variables are plain text


def document(*statements: Statement) -> Document:
    """A policy document of `statements`."""
    return {"Version": POLICY_VERSION, "Statement": list(statements)}


def allow(
    sid: str, actions: Sequence[str], resources: Sequence[str], *, condition: Condition | None = None
) -> Statement:
    """A grant to whoever holds the policy."""
    statement: Statement = {"Sid": sid, "Effect": "Allow", "Action": list(actions), "Resource": list(resources)}
    return statement | ({"Condition": condition} if condition else {})


def allow_principal(
    sid: str,
    principal: Mapping[str, str],
    actions: Sequence[str],
    resources: Sequence[str],
    *,
    condition: Condition | None = None,
) -> Statement:
    """A grant in the policy of a resource, to `principal`."""
    return allow(sid, actions, resources, condition=condition) | {"Principal": dict(principal)}


def deny(sid: str, actions: Sequence[str], resources: Sequence[str], *, condition: Condition) -> Statement:
    """A refusal to whoever holds the policy, whatever else allows it."""
    return allow(sid, actions, resources, condition=condition) | {"Effect": "Deny"}


def deny_everyone(sid: str, actions: Sequence[str], resources: Sequence[str], *, condition: Condition) -> Statement:
    """A refusal in the policy of a resource, to everyone in and out of the account."""
    return {
        "Sid": sid,
        "Effect": "Deny",
        "Principal": "*",
        "Action": list(actions),
        "Resource": list(resources),
        "Condition": condition,
    }
