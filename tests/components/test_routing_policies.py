"""What the sweep and an operator may do to zone and table, asked request by request of an IAM evaluator of others."""

import ast
import json
from pathlib import Path

import boto3
import pytest
from ministack.core.iam_evaluator import EvalContext, evaluate, parse_policy_document

from components.policies.routing import route_operator_policy, route_sweep_policy
from components.policies.statement import Document
from local.program import PROJECT_ROOT
from tests.components.policy_documents import ACCOUNT, DOMAIN, REGION, ROUTES, ZONE

SWEEP = route_sweep_policy(
    function="flotilla-dev-route-sweep",
    table_arn=ROUTES,
    zone_id=ZONE,
    domain=DOMAIN,
    region=REGION,
    account_id=ACCOUNT,
)
OPERATOR = route_operator_policy(
    table_arn=ROUTES, zone_id=ZONE, domain=DOMAIN, clusters={REGION: "manifest"}, account_id=ACCOUNT
)
BOTH = [pytest.param(SWEEP, id="sweep"), pytest.param(OPERATOR, id="operator")]
DEVICE, OTHER, BELOW = (f"{name}.gw.{DOMAIN}" for name in ("device1", "device2", "_acme-challenge.device1"))
WILDCARD = rf"\052.gw.{DOMAIN}"
"""As Route 53 writes `*` in its condition keys."""
MANAGED_POLICY_CHARACTERS = 6_144
"""IAM quota, white space not counted; the policy of a person is a managed one."""


def allows(policy: Document, action: str, resource: str, **context: object) -> bool:
    asked = EvalContext(
        principal_arn=f"arn:aws:iam::{ACCOUNT}:role/r",
        principal_type="AssumedRole",
        principal_account=ACCOUNT,
        action=action,
        resource_arn=resource,
        region=REGION,
        source_ip="192.0.2.1",
        secure_transport=True,
        service_context=dict(context),
    )
    return bool(evaluate(asked, [parse_policy_document(policy)]).decision == "Allow")


def may_change(
    policy: Document,
    *names: str,
    types: tuple[str, ...] = ("CNAME",),
    actions: tuple[str, ...] = ("CREATE",),
    zone: str = ZONE,
) -> bool:
    prefix = "route53:changeresourcerecordsets"
    context = {f"{prefix}normalizedrecordnames": names, f"{prefix}recordtypes": types, f"{prefix}actions": actions}
    given = {key: list(values) for key, values in context.items() if values}
    return allows(policy, "route53:ChangeResourceRecordSets", f"arn:aws:route53:::hostedzone/{zone}", **given)


def may_write(policy: Document, action: str, *keys: str) -> bool:
    return allows(policy, action, ROUTES, **({"dynamodb:leadingkeys": list(keys)} if keys else {}))


@pytest.mark.parametrize("policy", BOTH)
def test_records_of_devices_are_changed_in_batches_of_every_kind_a_plan_makes(policy: Document) -> None:
    assert may_change(policy, DEVICE, OTHER, types=("CNAME", "A", "AAAA"), actions=("DELETE", "CREATE"))
    assert may_change(policy, DEVICE, actions=("UPSERT",)), "which proves a change whose answer was lost"


@pytest.mark.parametrize("policy", BOTH)
@pytest.mark.parametrize(
    "names",
    [
        (WILDCARD,),
        (DEVICE, WILDCARD),
        (DOMAIN,),
        (f"gw.{DOMAIN}",),
        (f"default.{DOMAIN}",),
        (f"eu1.clusters.{DOMAIN}",),
        (DEVICE, f"eu1.clusters.{DOMAIN}"),
        (f"device1.gw.{DOMAIN}.evil.example.org",),
        (),
    ],
)
def test_no_name_of_the_program_is_changed_nor_one_that_is_not_told(policy: Document, names: tuple[str, ...]) -> None:
    assert not may_change(policy, *names)


@pytest.mark.parametrize("policy", BOTH)
def test_no_other_zone_and_no_delegation_is_changed(policy: Document) -> None:
    assert not may_change(policy, DEVICE, zone="Z9999999999999999999")
    assert not may_change(policy, DEVICE, types=("NS",))
    assert not may_change(policy, DEVICE, types=("CNAME", "NS"))
    assert not may_change(policy, DEVICE, types=())
    assert not may_change(policy, DEVICE, actions=())


def test_what_hides_the_wildcard_is_cleared_by_a_person_and_not_by_the_sweep() -> None:
    assert may_change(OPERATOR, BELOW, types=("TXT",), actions=("DELETE",))
    assert not may_change(SWEEP, BELOW, types=("CNAME",), actions=("DELETE",))
    assert not may_change(SWEEP, DEVICE, types=("TXT",), actions=("DELETE",))


@pytest.mark.parametrize("policy", BOTH)
def test_routes_are_added_and_their_history_is_never_deleted(policy: Document) -> None:
    assert may_write(policy, "dynamodb:PutItem", "device1")
    assert may_write(policy, "dynamodb:UpdateItem", "device1")
    assert may_write(policy, "dynamodb:DeleteItem", "#sweep")
    assert not may_write(policy, "dynamodb:DeleteItem", "device1")
    assert not may_write(policy, "dynamodb:DeleteItem", "#sweep", "device1")
    assert not may_write(policy, "dynamodb:DeleteItem")
    assert not may_write(policy, "dynamodb:DeleteTable")
    assert not may_write(policy, "dynamodb:BatchWriteItem", "device1")


@pytest.mark.parametrize("policy", BOTH)
@pytest.mark.parametrize("action", ["PutItem", "UpdateItem", "DeleteItem"])
def test_nobody_but_the_program_says_which_devices_are_pinned(policy: Document, action: str) -> None:
    assert not may_write(policy, f"dynamodb:{action}", "#pins")


def test_the_sweep_reads_expired_routes_and_never_the_whole_fleet() -> None:
    assert allows(SWEEP, "dynamodb:Query", f"{ROUTES}/index/expiring")
    assert not allows(SWEEP, "dynamodb:Scan", ROUTES)
    assert allows(OPERATOR, "dynamodb:Scan", ROUTES), "route check compares every route"


def test_the_sweep_touches_no_certificate_and_no_connection() -> None:
    services = {action.partition(":")[0] for one in SWEEP["Statement"] for action in one["Action"]}
    assert services == {"dynamodb", "route53", "cloudwatch", "logs"}


def called(folder: Path) -> set[str]:
    """The actions behind every AWS call in a folder, by the names botocore gives them; gateways have rights besides."""
    actions: dict[str, str] = {}
    for service in ("dynamodb", "route53", "iot", "iot-data"):
        client = boto3.client(service, region_name=REGION)
        prefix = service.removesuffix("-data")
        actions |= {method: f"{prefix}:{api}" for method, api in client.meta.method_to_api_mapping.items()}
    found = set()
    for path in folder.rglob("*.py"):
        if "gateway" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                first = node.args[0] if node.args else None
                is_pages = node.func.attr == "get_paginator" and isinstance(first, ast.Constant)
                found.add(str(first.value) if is_pages and isinstance(first, ast.Constant) else node.func.attr)
    return {actions[name] for name in found if name in actions}


def test_whoever_runs_fleet_route_may_make_every_call_it_makes() -> None:
    allowed = {action for one in OPERATOR["Statement"] if one["Effect"] == "Allow" for action in one["Action"]}
    transacted = "dynamodb:TransactWriteItems"
    """Authorized as the writes in it (DynamoDB Developer Guide, "IAM and transactions")."""
    calls = called(PROJECT_ROOT / "fleet")
    assert {transacted, "iot:SearchIndex", "iot:DeleteConnection", "route53:GetChange"} <= calls, "the test sees calls"
    assert calls - {transacted} <= allowed


def test_the_policy_of_a_person_over_six_clusters_fits_a_managed_policy() -> None:
    clusters = {f"ap-southeast-{number}": f"flotilla-{'a' * 31}-manifest" for number in range(1, 7)}
    policy = route_operator_policy(table_arn=ROUTES, zone_id=ZONE, domain=DOMAIN, clusters=clusters, account_id=ACCOUNT)
    assert len(json.dumps(policy, separators=(",", ":"))) <= MANAGED_POLICY_CHARACTERS
