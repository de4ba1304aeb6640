"""What a device may do: be itself, and nobody else (design decision 6).

The variable stands for the thing whose name is the MQTT client id, and only when the certificate that connected is
attached to that thing. In AWS IoT policies `*` matches any characters and MQTT's own `+` and `#` are plain text.
"""

from components.policies.arns import PARTITION
from components.policies.statement import Document, allow, document
from protocol.device_id import DeviceId
from protocol.topics import COMMAND_PREFIX, DATA_PREFIX, jobs_prefix, shadow_prefix

THING = DeviceId("${iot:Connection.Thing.ThingName}")
"""AWS IoT's policy variable for the name of the connected thing."""

MAX_POLICY_CHARACTERS = 2048  # AWS IoT quota "Policy document size", white space not counted


def device_policy(*, region: str, account_id: str) -> Document:
    """The IoT policy every device certificate carries in one cluster region."""

    def resources(kind: str, *names: str) -> list[str]:
        return [f"arn:{PARTITION}:iot:{region}:{account_id}:{kind}/{name}" for name in names]

    data = f"{DATA_PREFIX}/{THING}/*"
    commands = f"{COMMAND_PREFIX}/{THING}/*"
    reserved = (f"{jobs_prefix(THING)}/*", f"{shadow_prefix(THING)}/*")
    return document(
        allow(
            "ConnectAsItself",
            ["iot:Connect"],
            resources("client", THING),
            condition={"Bool": {"iot:Connection.Thing.IsAttached": "true"}},
        ),
        allow("PublishItsOwn", ["iot:Publish"], resources("topic", data, *reserved)),
        allow("SubscribeToItsOwn", ["iot:Subscribe"], resources("topicfilter", commands, *reserved)),
        allow("ReceiveItsOwn", ["iot:Receive"], resources("topic", commands, *reserved)),
    )
