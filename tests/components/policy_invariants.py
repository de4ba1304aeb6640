"""What must hold for every policy document: one function a rule, each returns what breaks it."""

import re
from collections.abc import Callable, Iterator
from types import MappingProxyType
from typing import Any

from tests.components.policy_documents import ACCOUNT, DOMAIN, Kind, Written

NO_RESOURCES = MappingProxyType(
    {
        # Service Authorization Reference, Amazon CloudWatch: no resource types; the namespace is the limit there is.
        "cloudwatch:PutMetricData": {"StringEquals": {"cloudwatch:namespace": "Flotilla"}},
        # Service Authorization Reference, AWS IoT: no resource types and no condition keys.
        "iot:AttachThingPrincipal": None,
        "iot:ListThingPrincipals": None,
        "iot:ListCertificates": None,
    }
)
"""The actions for which AWS takes no resource but `*`, and the condition each must carry where AWS offers one."""

OF_ANY_RESOURCE = {"lambda.amazonaws.com"}
"""Services that pass on the account they act for, but not, as far as is documented, the resource."""
WITHOUT_SOURCE = frozenset(
    {
        # S3 names no key it passes, and takes only a role of the bucket's own account (`replication_trust`).
        "s3.amazonaws.com"
    }
)

Invariant = Callable[[Written], list[str]]


def names_its_actions(written: Written) -> list[str]:
    """No statement is for every action, and none that allows is for every action of a service."""
    broken = []
    for statement in _statements(written):
        for action in _listed(statement.get("Action", "*")):
            if not action.strip("*"):
                broken.append(f"{_sid(statement)} is for every action there is")
            elif statement["Effect"] == "Allow" and "*" in action:
                broken.append(f"{_sid(statement)} allows {action}")
    return broken


def names_its_resources(written: Written) -> list[str]:
    """`*` stands for a resource only in a key's own policy, where it means that key, or where AWS has no other."""
    broken = []
    for statement in _allowing(written):
        if "*" in _listed(statement.get("Resource", "*")) and written.kind not in (Kind.KEY, Kind.TRUST):
            broken += [
                f"{_sid(statement)} allows {action} on everything"
                for action in _listed(statement["Action"])
                if action not in NO_RESOURCES or NO_RESOURCES[action] != statement.get("Condition")
            ]
    return broken


def excludes_nothing(written: Written) -> list[str]:
    """Nobody can read from "all but these" what is allowed."""
    inverted = ("NotAction", "NotResource", "NotPrincipal")
    return [f"{_sid(one)} has {name}" for one in _statements(written) for name in inverted if name in one]


def trusts_one_service_for_this_account(written: Written) -> list[str]:
    """A role is assumed by one service, for this account, for resources of it that are named."""
    if written.kind is not Kind.TRUST:
        return []
    broken = []
    for statement in _allowing(written):
        principal = statement.get("Principal")
        service = principal.get("Service") if isinstance(principal, dict) and list(principal) == ["Service"] else None
        if not isinstance(service, str):
            broken.append(f"{_sid(statement)} trusts {principal}, and not one service")
        elif service not in WITHOUT_SOURCE:
            broken += _unbound(statement, of_any_resource=service in OF_ANY_RESOURCE)
    return broken


def lets_in_whom_it_names(written: Written) -> list[str]:
    """The policy of a resource allows somebody in particular: the account itself, or a service acting for it."""
    if written.kind not in (Kind.RESOURCE, Kind.KEY):
        return []
    broken = []
    for statement in _allowing(written):
        principal = statement.get("Principal")
        if principal == {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}:
            continue
        if not isinstance(principal, dict) or list(principal) != ["Service"]:
            broken.append(f"{_sid(statement)} lets in {principal}")
        elif _condition(statement, "StringEquals", "aws:SourceAccount") != ACCOUNT:
            broken.append(f"{_sid(statement)} lets in {principal['Service']} for any account")
    return broken


def is_well_formed(written: Written) -> list[str]:
    """The current policy language, and statement ids that AWS takes, each used once."""
    sids = [one.get("Sid", "") for one in written.document["Statement"]]
    broken = [f"{sid!r} is no statement id" for sid in sids if not re.fullmatch(r"[A-Za-z0-9]+", sid)]
    broken += [f"{sid} is used twice" for sid in sorted(set(sids)) if sids.count(sid) > 1]
    if written.document.get("Version") != "2012-10-17":
        broken.append("the version is not 2012-10-17, so policy variables would be plain text")
    return broken


CHANGE_ZONE = "route53:ChangeResourceRecordSets"
ZONE_KEYS = {
    "Names": "route53:ChangeResourceRecordSetsNormalizedRecordNames",
    "Types": "route53:ChangeResourceRecordSetsRecordTypes",
    "Actions": "route53:ChangeResourceRecordSetsActions",
}
WILDCARD = rf"\052.gw.{DOMAIN}"
"""How Route 53 writes `*.gw.<domain>` in the condition key."""
LEADING_KEYS = "dynamodb:LeadingKeys"
ERASING = {"dynamodb:DeleteItem", "dynamodb:BatchWriteItem", "dynamodb:DeleteTable", "dynamodb:PartiQLDelete"}


def changes_devices_names_alone(written: Written) -> list[str]:
    """Whoever changes a zone changes one, below `gw.<domain>` there, plain record sets, and never the wildcard."""
    statements = [one for one in _statements(written) if CHANGE_ZONE in _listed(one["Action"])]
    broken = []
    for statement in (one for one in statements if one["Effect"] == "Allow"):
        resources = _listed(statement["Resource"])
        if len(resources) != 1 or not re.fullmatch(r"arn:aws:route53:::hostedzone/[A-Z0-9]+", resources[0]):
            broken.append(f"{_sid(statement)} changes {resources}, and not one zone")
        if _condition(statement, "ForAllValues:StringLike", ZONE_KEYS["Names"]) != [f"*.gw.{DOMAIN}"]:
            broken.append(f"{_sid(statement)} changes other names than devices'")
        types = _condition(statement, "ForAllValues:StringEquals", ZONE_KEYS["Types"])
        if not types or not set(types) <= {"A", "AAAA", "CNAME", "TXT"}:
            broken.append(f"{_sid(statement)} changes records of types {types}")
        if not _condition(statement, "ForAllValues:StringEquals", ZONE_KEYS["Actions"]):
            broken.append(f"{_sid(statement)} does not say which actions")
        broken += [
            f"{_sid(statement)} holds without {key}, since ForAllValues passes when a key is absent"
            for key in ZONE_KEYS.values()
            if _condition(statement, "Null", key) != "false"
        ]
        kept = [one for one in statements if one["Effect"] == "Deny" and _listed(one["Resource"]) == resources]
        if not any(WILDCARD in (_condition(one, "ForAnyValue:StringEquals", ZONE_KEYS["Names"]) or ()) for one in kept):
            broken.append(f"{_sid(statement)} changes the wildcard")
    return broken


def erases_nothing_of_a_device(written: Written) -> list[str]:
    """Nothing that is written down about a device is ever deleted: histories and manifests only grow."""
    broken = []
    for statement in _allowing(written):
        erasing = sorted(ERASING & set(_listed(statement["Action"])))
        if not erasing:
            continue
        if _condition(statement, "ForAllValues:StringLike", LEADING_KEYS) != ["#*"]:
            broken.append(f"{_sid(statement)} allows {', '.join(erasing)} on items of devices")
        elif _condition(statement, "Null", LEADING_KEYS) != "false":
            broken.append(f"{_sid(statement)} holds without {LEADING_KEYS}, since ForAllValues passes then")
    return broken


INVARIANTS: tuple[Invariant, ...] = (
    names_its_actions,
    names_its_resources,
    excludes_nothing,
    trusts_one_service_for_this_account,
    lets_in_whom_it_names,
    is_well_formed,
    changes_devices_names_alone,
    erases_nothing_of_a_device,
)


def _statements(written: Written) -> list[dict[str, Any]]:
    statements: list[dict[str, Any]] = written.document["Statement"]
    return statements


def _allowing(written: Written) -> Iterator[dict[str, Any]]:
    return (one for one in _statements(written) if one["Effect"] == "Allow")


def _unbound(statement: dict[str, Any], *, of_any_resource: bool = False) -> list[str]:
    broken = []
    if _condition(statement, "StringEquals", "aws:SourceAccount") != ACCOUNT:
        broken.append(f"{_sid(statement)} trusts its service for any account")
    sources = _listed(_condition(statement, "ArnLike", "aws:SourceArn") or [])
    named = bool(sources) or of_any_resource
    if not named or not all(source.split(":")[4:5] == [ACCOUNT] for source in sources):
        broken.append(f"{_sid(statement)} trusts its service for any resource")
    return broken


def _condition(statement: dict[str, Any], operator: str, key: str) -> Any:
    return statement.get("Condition", {}).get(operator, {}).get(key)


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _sid(statement: dict[str, Any]) -> str:
    return str(statement.get("Sid", "a statement"))
