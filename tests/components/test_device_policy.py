"""What the device policy lets a device do, as AWS IoT reads it: `*` matches any text, everything else is literal."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.policies.device import MAX_POLICY_CHARACTERS, device_policy
from protocol.device_id import DeviceId
from protocol.topics import batch_topic, command_filter, command_topic, jobs_prefix, shadow_prefix

ACCOUNT, LONGEST_REGION = "111122223333", "ap-southeast-2"
VARIABLE = "${iot:Connection.Thing.ThingName}"
ME, OTHER = DeviceId("device1"), DeviceId("device2")
DEVICE_IDS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True).map(DeviceId)


def allowed(device: DeviceId, action: str, kind: str, name: str) -> bool:
    """Whether the connected `device` may do `action` on `<kind>/<name>`."""
    wanted = f"arn:aws:iot:{LONGEST_REGION}:{ACCOUNT}:{kind}/{name}"
    return any(
        action in statement["Action"] and _matches(pattern.replace(VARIABLE, device), wanted)
        for statement in device_policy(region=LONGEST_REGION, account_id=ACCOUNT)["Statement"]
        for pattern in statement["Resource"]
    )


def _matches(pattern: str, text: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text) is not None


def test_the_policy_fits_into_what_aws_takes() -> None:
    text = json.dumps(device_policy(region=LONGEST_REGION, account_id=ACCOUNT))
    assert len(re.sub(r"\s", "", text)) < MAX_POLICY_CHARACTERS


def test_a_device_connects_as_itself_and_only_when_its_certificate_is_attached() -> None:
    assert allowed(ME, "iot:Connect", "client", ME)
    assert not allowed(ME, "iot:Connect", "client", OTHER)
    connect = device_policy(region=LONGEST_REGION, account_id=ACCOUNT)["Statement"][0]
    assert connect["Condition"] == {"Bool": {"iot:Connection.Thing.IsAttached": "true"}}


def test_a_device_does_what_its_job_needs() -> None:
    assert allowed(ME, "iot:Publish", "topic", batch_topic(ME))
    assert allowed(ME, "iot:Publish", "topic", f"{jobs_prefix(ME)}/$next/get")
    assert allowed(ME, "iot:Publish", "topic", f"{shadow_prefix(ME)}/update")
    assert allowed(ME, "iot:Subscribe", "topicfilter", command_filter(ME))
    assert allowed(ME, "iot:Subscribe", "topicfilter", f"{jobs_prefix(ME)}/notify-next")
    assert allowed(ME, "iot:Receive", "topic", command_topic(ME, "restart"))


@given(device=DEVICE_IDS, other=DEVICE_IDS)
def test_no_device_reaches_the_topics_of_another(device: DeviceId, other: DeviceId) -> None:
    if device == other:
        return
    for topic in (
        batch_topic(other),
        command_topic(other, "restart"),
        f"{jobs_prefix(other)}/get",
        f"{shadow_prefix(other)}/get",
    ):
        for action, kind in (("Publish", "topic"), ("Receive", "topic"), ("Subscribe", "topicfilter")):
            assert not allowed(device, f"iot:{action}", kind, topic)


@pytest.mark.parametrize("wide", ["#", "+", "dt/+/batch", "cmd/+/restart", "cmd/#", "$aws/#", "$aws/things/+/jobs/#"])
def test_no_device_subscribes_to_what_several_devices_share(wide: str) -> None:
    assert not allowed(ME, "iot:Subscribe", "topicfilter", wide)


def test_a_device_sends_no_command_and_reads_no_data_back() -> None:
    assert not allowed(ME, "iot:Publish", "topic", command_topic(ME, "restart"))
    assert not allowed(ME, "iot:Subscribe", "topicfilter", batch_topic(ME))
