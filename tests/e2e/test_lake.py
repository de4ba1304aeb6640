"""The lake of a deployed cluster: what is refused, what overlaps, what is brought back, all through the commands."""

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow.compute as pc
import pytest

from fleet.lake.fold import Folded
from local.lake import read_whole_lake
from protocol.device_id import parse_device_id
from protocol.measurement import Batch, ClockQuality, Reading, Row
from protocol.telemetry import encode_batch
from protocol.topics import batch_topic
from tests.e2e.world import World

pytestmark = pytest.mark.cloud

CLUSTER = "eu1"
RULE = "flotilla_dev_batch"


def batch(device: str, first: int, last: int, **changes: Any) -> bytes:
    start = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
    rows = tuple(
        Row(number, start + timedelta(seconds=number), (Reading("t", Decimal(number) / 10, "Cel"),))
        for number in range(first, last + 1)
    )
    told: dict[str, Any] = {"epoch": 1, "firmware": "1.0.0", "boot_count": 1, "clock": ClockQuality.SYNCHRONIZED}
    return encode_batch(Batch(**{"device": parse_device_id(device), "rows": rows, **told, **changes}))


class Lake:
    """One cluster's lake, and its commands as a person types them."""

    def __init__(self, dev: World, device: str) -> None:
        self._dev, self._device = dev, device
        self.bucket = dev.deployment.outputs.clusters[CLUSTER].lake_bucket
        self.s3 = dev.client("s3", CLUSTER)

    def read(self) -> Folded:
        """The device's own readings."""
        folded = read_whole_lake(self.s3, self.bucket)
        return Folded(folded.table.filter(pc.field("device") == self._device), folded.duplicates, folded.conflicts)

    def sequences(self) -> list[int]:
        found: list[int] = self.read().table.column("sequence").to_pylist()
        return found

    def command(self, *arguments: str, succeeds: bool = True) -> Any:
        """What a command says, as JSON; its message where it must fail."""
        place = ("--stack", "dev", "--outputs", str(self._dev.home / "outputs.json"), "--cluster", CLUSTER)
        told = self._dev.run("fleet", "lake", *arguments, *place, *(["--json"] if succeeds else []), succeeds=succeeds)
        return json.loads(told) if succeeds else told


@contextmanager
def publishing(dev: World, device: str) -> Iterator[Any]:
    """A function that publishes bytes on the device's own topic."""
    with dev.connected(device) as connection:
        yield lambda wire: connection.publish(batch_topic(parse_device_id(device)), wire)


def letters_of(lake: Lake, count: int) -> list[dict[str, str]]:
    """The letters once there are so many."""
    deadline = time.monotonic() + 60
    while True:
        found: list[dict[str, str]] = lake.command("replay")["letters"]
        if sum(int(row["letters"]) for row in found) >= count:
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.5)


def test_a_backlog_cut_anew_is_folded_and_a_day_is_compacted_through_the_command(dev: World) -> None:
    device = "backlog"
    dev.make_device(device, "line-a")
    lake = Lake(dev, device)
    with publishing(dev, device) as publish:
        for first, last in ((0, 9), (10, 19), (5, 14), (0, 19), (10, 19)):
            publish(batch(device, first, last))
    dev.until(lambda: len([key for key in _keys(lake) if "/backlog-1-" in key]) == 4)
    assert lake.sequences() == list(range(20)), "the same batch again made no fifth file, and the overlaps are folded"
    before = lake.read().table.to_pylist()
    (said,) = lake.command("compact", "2026-11-20", "--dry-run")["compacted"]
    assert len([key for key in _keys(lake) if "/backlog-1-" in key]) == 4
    (done,) = lake.command("compact", "2026-11-20")["compacted"]
    assert done == said
    assert done["files"].endswith("-> 1")
    assert lake.read().table.to_pylist() == before
    (again,) = lake.command("compact", "2026-11-20")["compacted"]
    assert (again["files"], again["duplicates"]) == ("1 -> 1", "0")


def test_letters_of_every_making_are_listed_with_their_reasons_and_brought_back(dev: World) -> None:
    device = "letters"
    dev.make_device(device, "line-a")
    lake = Lake(dev, device)
    iot = dev.client("iot", CLUSTER)
    with publishing(dev, device) as publish:
        publish(b"this is no batch")
    rule = iot.get_topic_rule(ruleName=RULE)["rule"]
    payload = {name: rule[name] for name in ("sql", "awsIotSqlVersion", "actions", "errorAction", "ruleDisabled")}
    iot.replace_topic_rule(ruleName=RULE, topicRulePayload={**payload, "actions": [_into_nowhere(rule)]})
    try:
        # Over HTTPS: from an MQTT message the embedded cloud calls its own queue in plaintext, which the queue refuses.
        dev.client("iot-data", CLUSTER).publish(
            topic=batch_topic(parse_device_id(device)), qos=1, payload=batch(device, 0, 4)
        )
        found = letters_of(lake, 2)
    finally:
        iot.replace_topic_rule(ruleName=RULE, topicRulePayload=payload)
    assert {row["kind"]: row["result"].partition(":")[0] for row in found} == {
        "refused": "left",
        "undelivered": "would be stored",
    }
    assert lake.sequences() == []
    message = lake.command("replay", "--send", succeeds=False)
    assert re.search(r"[1-9]\d* letters are left", message), "other tests of this desk may have left some, too"
    assert lake.sequences() == list(range(5)), "stored by the deployed function"
    left = lake.command("replay")["letters"]
    assert {row["kind"] for row in left} == {"refused"}
    assert any("not CBOR" in row["reason"] for row in left)


def test_a_cluster_that_is_not_there_and_a_day_that_is_none_are_refused_in_words(dev: World) -> None:
    outputs = ("--stack", "dev", "--outputs", str(dev.home / "outputs.json"))
    told = dev.run("fleet", "lake", "replay", *outputs, "--cluster", "eu9", succeeds=False)
    assert "--cluster eu9: dev has none of this name; write one of eu1, us1" in told
    told = dev.run("fleet", "lake", "compact", "2026-13-01", *outputs, succeeds=False)
    assert "2026-13-01 is no day; write it as 2026-11-22, or unknown" in told


def _keys(lake: Lake) -> list[str]:
    pages = lake.s3.get_paginator("list_objects_v2").paginate(Bucket=lake.bucket)
    return [entry["Key"] for page in pages for entry in page.get("Contents", [])]


def _into_nowhere(rule: dict[str, Any]) -> dict[str, Any]:
    """An action that fails: the embedded cloud tells a rule of a topic that is not there, and not of a function."""
    role = rule["errorAction"]["sqs"]["roleArn"]
    return {
        "sns": {"targetArn": "arn:aws:sns:eu-north-1:000000000000:nowhere", "roleArn": role, "messageFormat": "RAW"}
    }
