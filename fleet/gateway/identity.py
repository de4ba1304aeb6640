"""A gateway's identity in its cluster: a policy and a certificate in AWS IoT, both findable by name.

The policy is made first and carries, as tags, when it ends and which certificate it is for; so whatever a lost laptop
leaves behind is found and removed by any later sweep. Names and tags alone are read, no file of the gateway's.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from fleet.gateway.policy import gateway_policy, gateway_policy_name, gateway_policy_prefix
from protocol.device_id import DeviceId, InvalidDeviceIdError, parse_device_id
from provisioning.cloud import asking

if TYPE_CHECKING:
    from mypy_boto3_iot import IoTClient

EXPIRES_TAG = "flotilla-expires"
"""When the gateway ends, ISO 8601, UTC."""
CERTIFICATE_TAG = "flotilla-certificate"
"""The id of its certificate, which AWS IoT cannot tag: the SHA-256 of its DER in hex."""


@dataclass(frozen=True)
class IdentityPlace:
    """The cluster an identity is in."""

    client: "IoTClient"
    environment: str
    region: str
    account_id: str


@dataclass(frozen=True, kw_only=True)
class StandingIdentity:
    """A gateway as the cluster knows it."""

    device: DeviceId
    expires: datetime | None
    """None when the tag is missing or unreadable: then nobody vouches for it, and it counts as expired."""


def register_identity(
    place: IdentityPlace, device: DeviceId, *, certificate_pem: str, certificate_id: str, expires: datetime
) -> None:
    """Let the gateway in until then; what another gateway of the device had is taken away. Harmless when repeated."""
    client, name = place.client, gateway_policy_name(place.environment, device)
    document = gateway_policy(device, region=place.region, account_id=place.account_id)
    with asking(f"register the gateway of {device} in {place.region}"):
        found = _policy(place, device)
        if found is not None and json.loads(found[1]) != document:
            remove_identity(place, device)
            found = None
        tags = {EXPIRES_TAG: expires.astimezone(UTC).isoformat(), CERTIFICATE_TAG: certificate_id}
        if found is None:
            created = client.create_policy(
                policyName=name,
                policyDocument=json.dumps(document),
                tags=[{"Key": key, "Value": value} for key, value in tags.items()],
            )
            arn = created["policyArn"]
        else:
            arn = found[0]
            _remove_certificates(place, device, arn, but=certificate_id)
            client.tag_resource(resourceArn=arn, tags=[{"Key": key, "Value": value} for key, value in tags.items()])
        try:
            client.register_certificate_without_ca(certificatePem=certificate_pem, status="ACTIVE")
        except client.exceptions.ResourceAlreadyExistsException:
            client.update_certificate(certificateId=certificate_id, newStatus="ACTIVE")
        client.attach_policy(policyName=name, target=_certificate_arn(place, certificate_id))


def remove_identity(place: IdentityPlace, device: DeviceId) -> bool:
    """Take everything of the device's gateway out of the cluster; whether there was anything. Harmless when repeated.

    AWS IoT closes a session whose certificate is no longer active.
    """
    with asking(f"remove the gateway of {device} from {place.region}"):
        found = _policy(place, device)
        if found is None:
            return False
        _remove_certificates(place, device, found[0], but="")
        place.client.delete_policy(policyName=gateway_policy_name(place.environment, device))
    return True


def standing_identities(place: IdentityPlace) -> Iterator[StandingIdentity]:
    """Every gateway the cluster knows, by the names of policies."""
    prefix = gateway_policy_prefix(place.environment)
    with asking(f"list the gateways in {place.region}"):
        pages = place.client.get_paginator("list_policies").paginate()
        found = [policy for page in pages for policy in page["policies"] if policy["policyName"].startswith(prefix)]
    for policy in found:
        try:
            device = parse_device_id(policy["policyName"].removeprefix(prefix))
        except InvalidDeviceIdError:
            continue
        with asking(f"read the tags of {policy['policyName']} in {place.region}"):
            expires = _tags(place, policy["policyArn"]).get(EXPIRES_TAG, "")
        yield StandingIdentity(device=device, expires=_time(expires))


def _policy(place: IdentityPlace, device: DeviceId) -> tuple[str, str] | None:
    """The ARN and the document of the gateway's policy."""
    client = place.client
    try:
        policy = client.get_policy(policyName=gateway_policy_name(place.environment, device))
    except client.exceptions.ResourceNotFoundException:
        return None
    return policy["policyArn"], policy["policyDocument"]


def _remove_certificates(place: IdentityPlace, device: DeviceId, policy_arn: str, *, but: str) -> None:
    """Of the policy, all but one: those it is attached to, and the one its tag names."""
    client, name = place.client, gateway_policy_name(place.environment, device)
    pages = client.get_paginator("list_targets_for_policy").paginate(policyName=name)
    ids = {target.rpartition("/")[2] for page in pages for target in page["targets"]}
    ids.add(_tags(place, policy_arn).get(CERTIFICATE_TAG, ""))
    for certificate_id in sorted(ids - {but, ""}):
        try:
            client.describe_certificate(certificateId=certificate_id)
        except client.exceptions.ResourceNotFoundException:
            continue
        client.update_certificate(certificateId=certificate_id, newStatus="INACTIVE")
        client.detach_policy(policyName=name, target=_certificate_arn(place, certificate_id))
        client.delete_certificate(certificateId=certificate_id)


def _tags(place: IdentityPlace, arn: str) -> dict[str, str]:
    pages = place.client.get_paginator("list_tags_for_resource").paginate(resourceArn=arn)
    return {tag["Key"]: tag.get("Value", "") for page in pages for tag in page["tags"]}


def _certificate_arn(place: IdentityPlace, certificate_id: str) -> str:
    return f"arn:aws:iot:{place.region}:{place.account_id}:cert/{certificate_id}"


def _time(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else None
