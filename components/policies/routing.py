r"""Who may change where devices are sent: the scheduled sweep, and a person who runs `fleet route`.

Both touch names below `gw.<domain>` in one zone, and never the wildcard, which Pulumi owns. Both add to the route table
and delete none of its history. Condition keys: Route 53 Developer Guide, "Using IAM policy conditions for fine-grained
access control"; names in them are lower case, without the trailing dot, with `*` written as `\052`.

`ForAllValues` holds when a key is absent, so each key it tests must be there: `Null` (IAM User Guide, "Set operators
for multi-valued context keys").
"""

from collections.abc import Mapping, Sequence

from components.policies import arns
from components.policies.function import publish_metrics, write_own_log
from components.policies.statement import Condition, Document, Statement, allow, deny, document
from protocol.admission import MANIFEST_DEVICE_INDEX
from protocol.hostnames import wildcard_hostname
from protocol.routes import EXPIRY_INDEX, PINS_KEY

NAMES = "route53:ChangeResourceRecordSetsNormalizedRecordNames"
TYPES = "route53:ChangeResourceRecordSetsRecordTypes"
ACTIONS = "route53:ChangeResourceRecordSetsActions"
LEADING_KEYS = "dynamodb:LeadingKeys"
"""The partition keys an operation touches (DynamoDB Developer Guide, "Using IAM policy conditions")."""

ROUTE_TYPES = ("A", "AAAA", "CNAME")
"""What a route projects to (`fleet.routing.record_set`)."""
REPAIR_TYPES = (*ROUTE_TYPES, "TXT")
"""And what people leave at a device's name, where it hides the wildcard: `route check --repair` removes it."""
ROUTE_ACTIONS = ("CREATE", "DELETE", "UPSERT")
"""UPSERT only proves, after a lost answer, that what stands there stands everywhere (`fleet.routing.doubt`)."""
OWN_KEYS = "#*"
"""Items of the route table that are no device's: journals, claims, the shelf of a sweep."""
_CHANGE = "route53:ChangeResourceRecordSets"


def route_sweep_policy(
    *, function: str, table_arn: str, zone_id: str, domain: str, region: str, account_id: str
) -> Document:
    """What the scheduled sweep may do: take records of devices back, and write that down."""
    return document(
        *_routes(table_arn),
        *_zone(zone_id, domain, ROUTE_TYPES),
        deny(
            "KeepWhatIsBelow",
            [_CHANGE],
            [arns.hosted_zone(zone_id)],
            condition={"ForAnyValue:StringLike": {NAMES: [f"*.{_devices(domain)}"]}},
        ),
        publish_metrics(),
        write_own_log(function, region=region, account_id=account_id),
    )


def route_operator_policy(
    *, table_arn: str, zone_id: str, domain: str, clusters: Mapping[str, str], account_id: str
) -> Document:
    """What a person needs for `fleet route plan`, `apply`, `rollback`, `check`, `show` and `export`.

    `clusters`: region to the name of its manifest table. No role is made of it: who may operate is the account's own
    decision, and so is the session's MFA. Redirects to a gateway (`route debug`) need rights on certificates besides.
    """
    manifests = [arns.table(name, region=region, account_id=account_id) for region, name in sorted(clusters.items())]
    certificates = _iot("cert/*", clusters, account_id)
    return document(
        *_routes(table_arn),
        allow("ReadEveryRoute", ["dynamodb:Scan"], [table_arn]),
        *_zone(zone_id, domain, REPAIR_TYPES),
        allow("ReadManifests", ["dynamodb:Query", "dynamodb:Scan"], manifests),
        allow("FindInManifests", ["dynamodb:Query"], [f"{each}/index/{MANIFEST_DEVICE_INDEX}" for each in manifests]),
        allow("ReadCertificates", ["iot:DescribeCertificate"], certificates),
        allow("ReadAuthorities", ["iot:DescribeCACertificate"], _iot("cacert/*", clusters, account_id)),
        allow("ReadDevicePolicy", ["iot:GetPolicy"], _iot("policy/*", clusters, account_id)),
        allow("SeeWhoIsConnected", ["iot:SearchIndex"], _iot("index/AWS_Things", clusters, account_id)),
        allow("AskToReconnect", ["iot:DeleteConnection"], _iot("client/*", clusters, account_id)),
        allow("ListCertificates", ["iot:ListCertificates"], ["*"]),
    )


def _routes(table_arn: str) -> tuple[Statement, ...]:
    """Read routes and add to them. Only items that are no device's are ever deleted, and the pins are Pulumi's."""
    own: Condition = {"ForAllValues:StringLike": {LEADING_KEYS: [OWN_KEYS]}, "Null": {LEADING_KEYS: "false"}}
    writes = ["dynamodb:PutItem", "dynamodb:UpdateItem"]
    return (
        allow("ReadRoutes", ["dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:Query"], [table_arn]),
        allow("FindExpired", ["dynamodb:Query"], [f"{table_arn}/index/{EXPIRY_INDEX}"]),
        allow("WriteRoutes", writes, [table_arn]),
        allow("ClearItsOwn", ["dynamodb:DeleteItem"], [table_arn], condition=own),
        deny(
            "KeepPins",
            ["dynamodb:DeleteItem", *writes],
            [table_arn],
            condition={"ForAnyValue:StringEquals": {LEADING_KEYS: [PINS_KEY]}},
        ),
    )


def _zone(zone_id: str, domain: str, types: Sequence[str]) -> tuple[Statement, ...]:
    """Change records of devices in one zone, and read what is there. The wildcard is nobody's to change."""
    zone = arns.hosted_zone(zone_id)
    devices: Condition = {
        "ForAllValues:StringLike": {NAMES: [_devices(domain)]},
        "ForAllValues:StringEquals": {TYPES: list(types), ACTIONS: list(ROUTE_ACTIONS)},
        "Null": dict.fromkeys((NAMES, TYPES, ACTIONS), "false"),
    }
    wildcard = wildcard_hostname(domain).replace("*", r"\052")
    return (
        allow("ChangeDevices", [_CHANGE], [zone], condition=devices),
        deny("KeepTheWildcard", [_CHANGE], [zone], condition={"ForAnyValue:StringEquals": {NAMES: [wildcard]}}),
        allow("ReadZone", ["route53:ListResourceRecordSets"], [zone]),
        allow("ProveChanges", ["route53:GetChange"], [f"arn:{arns.PARTITION}:route53:::change/*"]),
    )


def _devices(domain: str) -> str:
    """The pattern of every name below `gw.<domain>`; that of the wildcard record itself reads the same."""
    return wildcard_hostname(domain)


def _iot(resource: str, clusters: Mapping[str, str], account_id: str) -> list[str]:
    return [f"arn:{arns.PARTITION}:iot:{region}:{account_id}:{resource}" for region in sorted(clusters)]
