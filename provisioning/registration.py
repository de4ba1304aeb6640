"""What AWS IoT of one region makes of a certificate, and how it is told to let go of it."""

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_iot import IoTClient


class Withdrawal(StrEnum):
    """What revoking a registration came to."""

    REVOKED = "revoked"
    """AWS closes the live session of a revoked certificate, and refuses new ones."""
    ALREADY_REVOKED = "already revoked"
    NEVER_REGISTERED = "never registered"
    """The device never connected here; the manifest keeps it out."""


def withdraw(client: "IoTClient", fingerprint: str) -> Withdrawal:
    """Revoke the certificate with that id, where this region knows it."""
    try:
        answer = client.describe_certificate(certificateId=fingerprint)
    except client.exceptions.ResourceNotFoundException:
        return Withdrawal.NEVER_REGISTERED
    if answer["certificateDescription"]["status"] == "REVOKED":
        return Withdrawal.ALREADY_REVOKED
    client.update_certificate(certificateId=fingerprint, newStatus="REVOKED")
    return Withdrawal.REVOKED
