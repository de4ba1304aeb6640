"""The MQTT topics of a device.

Own data goes up under `dt/<device>/`, commands come down under `cmd/<device>/`; jobs and shadow are AWS IoT's reserved
topics of the thing with the device's name. A topic has at most 7 slashes and 256 bytes (AWS IoT Core quotas).
"""

from protocol.device_id import DeviceId

MAX_TOPIC_BYTES = 256  # AWS IoT Core quota, message broker
MAX_TOPIC_SLASHES = 7  # AWS IoT Core quota, message broker; reserved topics' first three are free
MAX_PAYLOAD_BYTES = 128 * 1024  # AWS IoT Core quota, message broker

DATA_PREFIX = "dt"
COMMAND_PREFIX = "cmd"
BATCH_LEAF = "batch"
CONFIGURATION_SHADOW = "configuration"
"""The named shadow that tells a device how to work."""

BATCH_FILTER = f"{DATA_PREFIX}/+/{BATCH_LEAF}"
"""The topic filter a rule selects every device's batches with."""


def batch_topic(device: DeviceId) -> str:
    """Where the device publishes its batches of measurements."""
    return f"{DATA_PREFIX}/{device}/{BATCH_LEAF}"


def command_filter(device: DeviceId) -> str:
    """What the device subscribes to for commands."""
    return f"{COMMAND_PREFIX}/{device}/+"


def command_topic(device: DeviceId, command: str) -> str:
    """Where one command for the device is published."""
    return f"{COMMAND_PREFIX}/{device}/{command}"


def jobs_prefix(device: DeviceId) -> str:
    """The reserved topics of AWS IoT Jobs for the device's thing."""
    return f"$aws/things/{device}/jobs"


def shadow_prefix(device: DeviceId) -> str:
    """The reserved topics of the device's shadow."""
    return f"$aws/things/{device}/shadow"


def named_shadow_prefix(device: DeviceId, name: str) -> str:
    """The reserved topics of one of the device's named shadows."""
    return f"{shadow_prefix(device)}/name/{name}"
