"""What a gateway may do in the cluster: stand in for one device, and for nobody else. Pure.

In AWS IoT policies `*` matches any characters and MQTT's own `+` and `#` are plain text. The gateway's client id has an
underscore, which no device id has, so it can neither be a device nor push one off.
"""

from typing import Any

from protocol.device_id import DeviceId
from protocol.topics import COMMAND_PREFIX, DATA_PREFIX

_PARTITION = "aws"
POLICY_VERSION = "2012-10-17"
"""The IAM policy language's only current version."""


def gateway_client_id(device: DeviceId) -> str:
    """The MQTT client id of a device's gateway in the cluster."""
    return f"gateway_{device}"


def gateway_policy_name(environment: str, device: DeviceId) -> str:
    """The IoT policy of a device's gateway; its name is how a sweep finds what is left of one."""
    return f"{gateway_policy_prefix(environment)}{device}"


def gateway_policy_prefix(environment: str) -> str:
    """What the names of the policies of all gateways of an environment begin with."""
    return f"flotilla-{environment}-gateway-"


def gateway_policy(device: DeviceId, *, region: str, account_id: str) -> dict[str, Any]:
    """Connect as the device's gateway, publish the device's data, hear the device's commands."""

    def resource(kind: str, name: str) -> str:
        return f"arn:{_PARTITION}:iot:{region}:{account_id}:{kind}/{name}"

    commands = f"{COMMAND_PREFIX}/{device}/*"
    return {
        "Version": POLICY_VERSION,
        "Statement": [
            _allow("ConnectAsTheGateway", "iot:Connect", resource("client", gateway_client_id(device))),
            _allow("PublishTheDevicesData", "iot:Publish", resource("topic", f"{DATA_PREFIX}/{device}/*")),
            _allow("SubscribeToItsCommands", "iot:Subscribe", resource("topicfilter", commands)),
            _allow("ReceiveItsCommands", "iot:Receive", resource("topic", commands)),
        ],
    }


def _allow(sid: str, action: str, resource: str) -> dict[str, Any]:
    return {"Sid": sid, "Effect": "Allow", "Action": [action], "Resource": [resource]}
