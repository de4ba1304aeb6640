import base64
import gzip
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, cast

import pytest

from functions.ingest import Cloud, Settings, ingest, object_key
from protocol.device_id import parse_device_id
from protocol.measurement import Batch, ClockQuality, Reading, Row
from protocol.telemetry import encode_batch

START = datetime(2026, 11, 22, 23, 59, 59, 500_000, tzinfo=UTC)
SETTINGS = Settings(lake_bucket="lake", dead_letter_queue_url="queue", environment="dev")


@dataclass
class Recorder:
    """Stands for S3, SQS and CloudWatch at once; the embedded cloud plays them in the end-to-end tests."""

    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    failing: str | None = None

    def __getattr__(self, name: str) -> Any:
        def call(**arguments: Any) -> None:
            if name == self.failing:
                raise ConnectionError(name)
            self.calls.append((name, arguments))

        return call

    def cloud(self) -> Cloud:
        stand_in = cast("Any", self)
        return Cloud(s3=stand_in, sqs=stand_in, cloudwatch=stand_in)

    def metrics(self) -> list[str]:
        data = [arguments["MetricData"] for name, arguments in self.calls if name == "put_metric_data"]
        return [datum["MetricName"] for each in data for datum in each]


def batch(clock: ClockQuality = ClockQuality.SYNCHRONIZED) -> Batch:
    rows = tuple(
        Row(7 + index, START + timedelta(seconds=index), (Reading("temperature", Decimal("21.50"), "Cel"),))
        for index in range(2)
    )
    device = parse_device_id("device1")
    return Batch(device=device, epoch=3, firmware="1.0.0", boot_count=1, clock=clock, rows=rows)


def event(wire: bytes, device: str = "device1") -> dict[str, Any]:
    return {"payload": base64.b64encode(wire).decode(), "device": device, "received": 1_795_392_000_000}


def test_a_batch_is_stored_as_rows_under_the_day_of_its_first() -> None:
    recorder = Recorder()
    said = ingest(event(encode_batch(batch())), cloud=recorder.cloud(), settings=SETTINGS)
    assert said["outcome"] == "stored"
    name, put = recorder.calls[0]
    assert (name, put["Bucket"], put["Key"]) == (
        "put_object",
        "lake",
        "measurements/day=2026-11-22/device1-3-7-8.json.gz",
    )
    rows = [json.loads(line) for line in gzip.decompress(put["Body"]).splitlines()]
    assert [row["sequence"] for row in rows] == [7, 8]
    assert rows[1] == {
        "device": "device1",
        "epoch": 3,
        "firmware": "1.0.0",
        "boot_count": 1,
        "clock": "synchronized",
        "sequence": 8,
        "time": "2026-11-23T00:00:00.500+00:00",
        "channel": "temperature",
        "value": "21.5",
        "unit": "Cel",
    }
    assert recorder.metrics() == ["BatchesStored"]


def test_a_second_delivery_writes_the_same_bytes_to_the_same_key() -> None:
    recorder = Recorder()
    for received in (1, 2):
        again = {**event(encode_batch(batch())), "received": received}
        ingest(again, cloud=recorder.cloud(), settings=SETTINGS)
    puts = [arguments for name, arguments in recorder.calls if name == "put_object"]
    assert puts[0] == puts[1]


def test_a_device_without_a_clock_gets_no_day() -> None:
    assert object_key(batch(ClockQuality.UNKNOWN)) == "measurements/day=unknown/device1-3-7-8.json.gz"


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (event(b"nonsense"), "not CBOR"),
        (event(encode_batch(batch()), device="device2"), "a batch of device1 on the topic of device2"),
        ({"payload": "%%%", "device": "device1"}, "not base64"),
        ({"device": "device1"}, "has no 'payload'"),
    ],
)
def test_what_cannot_be_read_goes_to_the_dead_letters_whole_and_with_its_reason(
    bad: dict[str, Any], reason: str
) -> None:
    recorder = Recorder()
    assert ingest(bad, cloud=recorder.cloud(), settings=SETTINGS)["outcome"] == "rejected"
    name, sent = recorder.calls[0]
    letter = json.loads(sent["MessageBody"])
    assert (name, sent["QueueUrl"], letter["event"]) == ("send_message", "queue", bad)
    assert reason in letter["reason"]
    assert recorder.metrics() == ["BatchesRejected"]


@pytest.mark.parametrize(("failing", "wire"), [("put_object", encode_batch(batch())), ("send_message", b"nonsense")])
def test_an_error_of_aws_is_raised_so_that_lambda_tries_again(failing: str, wire: bytes) -> None:
    recorder = Recorder(failing=failing)
    with pytest.raises(ConnectionError):
        ingest(event(wire), cloud=recorder.cloud(), settings=SETTINGS)
    assert recorder.metrics() == [], "nothing is counted that did not happen"
