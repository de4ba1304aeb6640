"""The topics of a device: its own, within the broker's quotas, and nobody else's."""

from hypothesis import given

from protocol.device_id import MAX_DEVICE_ID_CHARACTERS, DeviceId
from protocol.topics import (
    BATCH_FILTER,
    MAX_TOPIC_BYTES,
    MAX_TOPIC_SLASHES,
    batch_topic,
    command_filter,
    command_topic,
    jobs_prefix,
    shadow_prefix,
)
from tests.protocol.test_device_id import DEVICE_IDS

LONGEST = DeviceId("d" * MAX_DEVICE_ID_CHARACTERS)


def matches(topic_filter: str, topic: str) -> bool:
    """MQTT 5, section 4.7, for filters without `#`."""
    wanted, levels = topic_filter.split("/"), topic.split("/")
    return len(wanted) == len(levels) and all(w in ("+", level) for w, level in zip(wanted, levels, strict=True))


def test_the_topics_of_a_device_are_these() -> None:
    device = DeviceId("device1")
    assert batch_topic(device) == "dt/device1/batch"
    assert command_filter(device) == "cmd/device1/+"
    assert command_topic(device, "restart") == "cmd/device1/restart"
    assert jobs_prefix(device) == "$aws/things/device1/jobs"
    assert shadow_prefix(device) == "$aws/things/device1/shadow"


@given(DEVICE_IDS)
def test_one_filter_selects_every_devices_batches_and_the_device_is_its_second_level(device: DeviceId) -> None:
    assert matches(BATCH_FILTER, batch_topic(device))
    assert batch_topic(device).split("/")[1] == device, "the rule takes the device from topic(2)"


@given(DEVICE_IDS, DEVICE_IDS)
def test_commands_for_one_device_do_not_reach_another(one: DeviceId, other: DeviceId) -> None:
    assert matches(command_filter(one), command_topic(other, "restart")) is (one == other)


def test_the_longest_device_id_keeps_every_topic_within_the_quotas() -> None:
    longest_job = f"{jobs_prefix(LONGEST)}/{'j' * 64}/update/accepted"
    for topic in (batch_topic(LONGEST), command_topic(LONGEST, "c" * 64), longest_job):
        assert len(topic.encode()) <= MAX_TOPIC_BYTES
        assert topic.count("/") <= MAX_TOPIC_SLASHES
