"""What AWS IoT of one region makes of a certificate, and how it is told to let go of it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from protocol.device_id import DeviceId
from provisioning.errors import CloudError
from provisioning.registry.setbacks import Setbacks

if TYPE_CHECKING:
    from mypy_boto3_iot import IoTClient
    from mypy_boto3_iot_data import IoTDataPlaneClient


class Withdrawal(StrEnum):
    """What revoking a registration came to."""

    REVOKED = "revoked"
    """AWS refuses new sessions at once, and closes a live one within minutes (UpdateCertificate)."""
    ALREADY_REVOKED = "already revoked"
    NEVER_REGISTERED = "never registered"
    """The device never connected here; the manifest keeps it out."""


def withdraw(client: "IoTClient", fingerprint: str) -> Withdrawal:
    """Revoke the certificate with that id, where this region knows it, and take its policies and its thing from it.

    Without a policy a session that is still open may do nothing more; without the thing the device may come back with
    another identity. A rerun goes on where one was cut off.
    """
    try:
        answer = client.describe_certificate(certificateId=fingerprint)
    except client.exceptions.ResourceNotFoundException:
        return Withdrawal.NEVER_REGISTERED
    description = _present(answer, "certificateDescription")
    was_revoked = _present(description, "status") == "REVOKED"
    if not was_revoked:
        client.update_certificate(certificateId=fingerprint, newStatus="REVOKED")
    target = _present(description, "certificateArn")
    pages = client.get_paginator("list_attached_policies").paginate(target=target)
    for policy in [policy["policyName"] for page in pages for policy in _present(page, "policies")]:
        client.detach_policy(policyName=policy, target=target)
    things = client.get_paginator("list_principal_things").paginate(principal=target)
    for thing in [thing for page in things for thing in _present(page, "things")]:
        client.detach_thing_principal(thingName=thing, principal=target)
    return Withdrawal.ALREADY_REVOKED if was_revoked else Withdrawal.REVOKED


def let_go(
    client: "IoTClient", data: "IoTDataPlaneClient", fingerprint: str, device: DeviceId
) -> tuple[Withdrawal, bool]:
    """Revoke a registration and cut its session; what came of it, and whether there was a session to cut."""
    withdrawal = withdraw(client, fingerprint)
    return withdrawal, withdrawal is not Withdrawal.NEVER_REGISTERED and cut_session(data, device)


@dataclass(frozen=True)
class Letting:
    """What letting go of one registration came to."""

    withdrawal: Withdrawal | None = None
    session_was_cut: bool = False
    failure: str = ""
    """Why it stands still, with the way out."""


def try_to_let_go(
    client: "IoTClient", data: "IoTDataPlaneClient", fingerprint: str, device: DeviceId, *, setbacks: Setbacks
) -> Letting:
    """`let_go` where one that fails must not keep those behind it waiting."""
    try:
        withdrawal, was_cut = let_go(client, data, fingerprint, device)
    except (ClientError, BotoCoreError, CloudError) as error:
        return Letting(failure=setbacks.note(error))
    setbacks.went_well()
    return Letting(withdrawal, was_cut)


class Deactivation(StrEnum):
    """What taking an authority out came to."""

    DEACTIVATED = "deactivated"
    """No unknown certificate of it registers itself from now on. Those that are registered stay so."""
    ALREADY_INACTIVE = "was inactive"
    UNKNOWN = "not registered"


def deactivate(client: "IoTClient", ca_certificate_id: str) -> Deactivation:
    """Have AWS IoT register nobody by a CA certificate any more. The next deployment may remove it altogether."""
    try:
        answer = client.describe_ca_certificate(certificateId=ca_certificate_id)
    except client.exceptions.ResourceNotFoundException:
        return Deactivation.UNKNOWN
    description = _present(answer, "certificateDescription")
    if _present(description, "status") == "INACTIVE" and description.get("autoRegistrationStatus") == "DISABLE":
        return Deactivation.ALREADY_INACTIVE
    client.update_ca_certificate(
        certificateId=ca_certificate_id, newStatus="INACTIVE", newAutoRegistrationStatus="DISABLE"
    )
    return Deactivation.DEACTIVATED


def _present(answer: Any, name: str) -> Any:
    """What an answer must hold. A broken one is a success to the library, with nothing in it."""
    if name not in answer:
        raise CloudError(f"an answer of AWS IoT lacks {name}; run this again")
    return answer[name]


def cut_session(client: "IoTDataPlaneClient", device: DeviceId) -> bool:
    """Close the device's live session now rather than within minutes; whether there was one to close.

    The certificate is revoked before, so a refusal here changes only how soon: no right to do it, no session, or a
    cloud without DeleteConnection, such as the desk's.
    """
    try:
        client.delete_connection(clientId=device)
    except ClientError:
        return False
    return True
