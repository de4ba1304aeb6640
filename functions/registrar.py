"""Just-in-time registration: admits a certificate that the factory's manifest lists, and no other.

The rule on `$aws/events/certificates/registered/<caCertificateId>` hands over the event of a certificate that is
PENDING_ACTIVATION. Everything the decision needs is read first; `functions.admission.decide` is the decision; then it
is applied in an order that leaves a half-done admission inactive: thing, policy, attachment, and activation last.
Events come more than once and runs may be cut off: every step may be done again. A refusal leaves the certificate as
it is, writes one log line with the reason, and counts. An error of AWS is raised, and Lambda tries the event again.

Needs: dynamodb:GetItem on the manifest; iot:DescribeCertificate, iot:DescribeThing, iot:DescribeThingType,
iot:ListThingPrincipals, iot:CreateThing, iot:AttachPolicy, iot:AttachThingPrincipal, iot:UpdateCertificate;
cloudwatch:PutMetricData.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from functions.admission import ACTIVE, Admit, Place, Reason, Refuse, Registered, Settled, Thing, decide
from functions.certificate import read_certificate
from functions.clients import client
from functions.log import log
from functions.metrics import count
from protocol.admission import MANIFEST_KEY, ManifestEntry, Standing

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_iot import IoTClient

ADMITTED = "RegistrationsAdmitted"
REFUSED = "RegistrationsRefused"

Outcome = Admit | Refuse | Settled


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """The services the registrar uses."""

    iot: "IoTClient"
    dynamodb: "DynamoDBClient"
    cloudwatch: "CloudWatchClient"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The function's environment variables."""

    manifest_table: str
    device_policy: str
    environment: str

    @classmethod
    def read(cls, variables: Mapping[str, str]) -> "Settings":
        """The settings in `variables`; `KeyError` names the one that is missing."""
        return cls(
            manifest_table=variables["MANIFEST_TABLE"],
            device_policy=variables["DEVICE_POLICY"],
            environment=variables["ENVIRONMENT"],
        )


def handler(event: Mapping[str, Any], _context: object) -> dict[str, str]:
    """What Lambda calls: event `{certificateId, caCertificateId, certificateStatus, …}`."""
    cloud = Cloud(iot=client("iot"), dynamodb=client("dynamodb"), cloudwatch=client("cloudwatch"))
    return register(event, cloud=cloud, settings=Settings.read(os.environ), now=datetime.now(UTC))


def register(event: Mapping[str, Any], *, cloud: Cloud, settings: Settings, now: datetime) -> dict[str, str]:
    """Admits or refuses the certificate of one event; the answer is what was logged."""
    certificate_id = str(event["certificateId"])
    description = cloud.iot.describe_certificate(certificateId=certificate_id)["certificateDescription"]
    outcome = _outcome(certificate_id, description, cloud, settings, now)
    if isinstance(outcome, Admit):
        _apply(outcome, certificate_id, description["certificateArn"], cloud.iot, settings)
    if isinstance(outcome, Admit | Settled):
        outcome = _unless_revoked(outcome, certificate_id, cloud, settings)
    said = {"certificate": certificate_id, "authority": str(event.get("caCertificateId", ""))}
    match outcome:
        case Admit():
            count(cloud.cloudwatch, environment=settings.environment, metric=ADMITTED)
            said |= {"outcome": "admitted", "device": outcome.thing_name, "model": outcome.thing_type}
        case Refuse(reason=reason, detail=detail):
            count(cloud.cloudwatch, environment=settings.environment, metric=REFUSED, reason=reason)
            said |= {"outcome": "refused", "reason": reason.value, "detail": detail}
        case Settled():
            said |= {"outcome": "settled"}
    log("registration", **said)
    return said


def _outcome(
    certificate_id: str, description: Mapping[str, Any], cloud: Cloud, settings: Settings, now: datetime
) -> Outcome:
    """The decision, after everything it rests on was read."""
    try:
        facts = read_certificate(str(description["certificatePem"]))
    except ValueError as error:
        return Refuse(reason=Reason.UNREADABLE_CERTIFICATE, detail=str(error))
    try:
        entry = _manifest_entry(cloud.dynamodb, settings.manifest_table, certificate_id)
        place = _place(entry, certificate_id, cloud, settings)
    except _UnreadableEntryError as error:
        return Refuse(reason=Reason.UNREADABLE_MANIFEST, detail=str(error))
    registered = Registered(certificate_id=certificate_id, status=str(description["status"]), facts=facts)
    return decide(registered, entry, place, now=now)


class _UnreadableEntryError(Exception):
    """A manifest item that is none: trying again does not help."""


def _manifest_entry(dynamodb: "DynamoDBClient", table: str, fingerprint: str) -> ManifestEntry | None:
    answer = dynamodb.get_item(TableName=table, Key={MANIFEST_KEY: {"S": fingerprint}}, ConsistentRead=True)
    item = answer.get("Item")
    if item is None:
        return None
    try:
        return ManifestEntry.from_item({name: value["S"] for name, value in item.items()})
    except (KeyError, ValueError) as error:
        raise _UnreadableEntryError(
            f"the item of {fingerprint} in table {table} is no manifest entry ({error!r}); run: "
            "python -m provisioning sync"
        ) from error


def _place(entry: ManifestEntry | None, certificate_id: str, cloud: Cloud, settings: Settings) -> Place:
    """What the cloud holds for the entry's device and model."""
    if entry is None:
        return Place(model_known=False, thing=None)
    return Place(
        model_known=_model_is_known(cloud.iot, entry.model), thing=_thing(entry.device, certificate_id, cloud, settings)
    )


def _model_is_known(iot: "IoTClient", model: str) -> bool:
    try:
        iot.describe_thing_type(thingTypeName=model)
    except iot.exceptions.ResourceNotFoundException:
        return False
    return True


def _thing(name: str, certificate_id: str, cloud: Cloud, settings: Settings) -> Thing | None:
    try:
        thing = cloud.iot.describe_thing(thingName=name)
    except cloud.iot.exceptions.ResourceNotFoundException:
        return None
    pages = cloud.iot.get_paginator("list_thing_principals").paginate(thingName=name)
    attached = [principal.rpartition("/")[2] for page in pages for principal in page["principals"]]
    return Thing(
        thing_type=thing.get("thingTypeName"),
        attributes=dict(thing.get("attributes", {})),
        others={
            other: _manifest_entry(cloud.dynamodb, settings.manifest_table, other)
            for other in attached
            if other != certificate_id
        },
    )


def _apply(admit: Admit, certificate_id: str, arn: str, iot: "IoTClient", settings: Settings) -> None:
    """Every step is one AWS takes twice; the certificate works only after the last."""
    if admit.makes_thing:
        # A thing that appeared since it was looked for is an error here: the next try looks at it.
        iot.create_thing(
            thingName=admit.thing_name,
            thingTypeName=admit.thing_type,
            attributePayload={"attributes": admit.attributes},
        )
    iot.attach_policy(policyName=settings.device_policy, target=arn)
    iot.attach_thing_principal(thingName=admit.thing_name, principal=arn)
    iot.update_certificate(certificateId=certificate_id, newStatus=ACTIVE)


def _unless_revoked(outcome: Admit | Settled, certificate_id: str, cloud: Cloud, settings: Settings) -> Outcome:
    """The outcome, unless the factory took the identity back meanwhile: then it is taken back here too.

    A revocation writes the manifest first and the certificate after. If it came between our reading and our
    activation, it saw a certificate that was not active yet, and this is the reading that sees it.
    """
    entry = _manifest_entry(cloud.dynamodb, settings.manifest_table, certificate_id)
    if entry is None or entry.standing is Standing.GOOD:
        return outcome
    cloud.iot.update_certificate(certificateId=certificate_id, newStatus="REVOKED")
    return Refuse(reason=Reason.REVOKED, detail=f"{entry.device} was revoked while it was being admitted")
