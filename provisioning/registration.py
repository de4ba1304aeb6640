"""What AWS IoT of one region makes of a certificate, and how it is told to let go of it."""

from enum import StrEnum
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from protocol.device_id import DeviceId

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
    """Revoke the certificate with that id, where this region knows it, and take every policy from it.

    Without a policy a session that is still open may do nothing more. A rerun goes on where one was cut off.
    """
    try:
        description = client.describe_certificate(certificateId=fingerprint)["certificateDescription"]
    except client.exceptions.ResourceNotFoundException:
        return Withdrawal.NEVER_REGISTERED
    was_revoked = description["status"] == "REVOKED"
    if not was_revoked:
        client.update_certificate(certificateId=fingerprint, newStatus="REVOKED")
    target = description["certificateArn"]
    pages = client.get_paginator("list_attached_policies").paginate(target=target)
    for policy in [policy["policyName"] for page in pages for policy in page["policies"]]:
        client.detach_policy(policyName=policy, target=target)
    return Withdrawal.ALREADY_REVOKED if was_revoked else Withdrawal.REVOKED


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


def let_knock_again(client: "IoTClient", fingerprint: str) -> bool:
    """Forget a certificate that waits for activation; whether there was one.

    A device that knocked before its manifest came was refused, and AWS announces a certificate only when it first sees
    it. Forgotten, it is new at the next knock, and the registrar finds it listed.
    """
    try:
        answer = client.describe_certificate(certificateId=fingerprint)
        if answer["certificateDescription"]["status"] != "PENDING_ACTIVATION":
            return False
        client.delete_certificate(certificateId=fingerprint)
    except (
        client.exceptions.ResourceNotFoundException,
        client.exceptions.CertificateStateException,
        client.exceptions.DeleteConflictException,
    ):
        return False  # never seen, or the registrar is admitting it at this moment
    return True
