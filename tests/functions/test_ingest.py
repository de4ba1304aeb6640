"""From a delivered batch to columns in the lake: both ways in, twice, out of order, broken, and with AWS failing."""

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from botocore.exceptions import ClientError

from functions.ingest import ingest
from functions.models import KEYS_A_REQUEST
from protocol.device_id import parse_device_id
from protocol.measurement import Batch, ClockQuality, Reading, Row, moment_of_uptime
from protocol.telemetry import encode_batch
from tests.functions.lake_cloud import SETTINGS, LakeCloud

START = datetime(2026, 11, 22, 23, 59, 59, 500_000, tzinfo=UTC)
RECEIVED = datetime(2026, 11, 23, 0, 1, tzinfo=UTC)


def batch(*, first: int = 7, count: int = 2, device: str = "device1", **changes: Any) -> Batch:
    taken = tuple(
        Row(
            first + index,
            START + timedelta(seconds=first - 7 + index),
            (Reading("temperature", Decimal("21.50"), "Cel"), Reading("signal", Decimal(-87 + index), "dBm")),
        )
        for index in range(count)
    )
    given = Batch(
        device=parse_device_id(device),
        epoch=3,
        firmware="1.0.0",
        boot_count=1,
        clock=ClockQuality.SYNCHRONIZED,
        rows=taken,
    )
    return replace(given, **changes)


def event(wire: bytes, *, device: str = "device1", received: datetime = RECEIVED, **more: Any) -> dict[str, Any]:
    return {
        "payload": base64.b64encode(wire).decode(),
        "device": device,
        "received": int(received.timestamp() * 1000),
        "certificate": "c0ffee",
        **more,
    }


def records(*events: dict[str, Any] | bytes) -> dict[str, Any]:
    """What Lambda hands over from a Kinesis stream (AWS Lambda Developer Guide, "Using Lambda with Kinesis")."""
    return {
        "Records": [
            {
                "kinesis": {
                    "kinesisSchemaVersion": "1.0",
                    "partitionKey": "device1",
                    "sequenceNumber": str(number),
                    "data": base64.b64encode(each if isinstance(each, bytes) else json.dumps(each).encode()).decode(),
                    "approximateArrivalTimestamp": 1_795_392_000.0,
                },
                "eventSource": "aws:kinesis",
                "eventID": f"shardId-000000000000:{number}",
                "awsRegion": "eu-north-1",
            }
            for number, each in enumerate(events)
        ]
    }


def test_a_batch_is_stored_under_the_day_of_each_row_and_the_model_of_its_certificate() -> None:
    cloud = LakeCloud()
    said = ingest(event(encode_batch(batch())), cloud=cloud.cloud(), settings=SETTINGS)
    assert (said["outcome"], said["batches"], said["readings"]) == ("stored", 1, 4)
    assert [key.rpartition("/")[0] for key in sorted(cloud.objects)] == [
        "measurements/day=2026-11-22/model=fl100",
        "measurements/day=2026-11-23/model=fl100",
    ]
    assert all("/device1-3-7-8-" in key for key in cloud.objects), "the batch is named in both"
    row = next(row for row in cloud.lake().to_pylist() if row["sequence"] == 8 and row["channel"] == "temperature")
    assert row == {
        "device": "device1",
        "epoch": 3,
        "sequence": 8,
        "channel": "temperature",
        "value": 21.5,
        "exact": "21.5",
        "unit": "Cel",
        "time": START + timedelta(seconds=1),
        "device_time": START + timedelta(seconds=1),
        "clock": "synchronized",
        "received": RECEIVED,
        "firmware": "1.0.0",
        "boot_count": 1,
        "day": "2026-11-23",
        "model": "fl100",
    }
    assert cloud.counted == {"BatchesStored": 1}


def test_a_second_delivery_leaves_what_lies_there() -> None:
    cloud = LakeCloud()
    ingest(event(encode_batch(batch())), cloud=cloud.cloud(), settings=SETTINGS)
    before = dict(cloud.objects)
    again = event(encode_batch(batch()), received=RECEIVED + timedelta(days=1))
    assert ingest(again, cloud=cloud.cloud(), settings=SETTINGS)["outcome"] == "stored"
    assert cloud.objects == before, "with the time of the first receipt"
    assert cloud.counted == {"BatchesStored": 1}, "and it is counted once"


def test_a_device_without_a_clock_gets_no_day_and_its_uptime_is_kept() -> None:
    cloud = LakeCloud()
    rows = (Row(7, moment_of_uptime(timedelta(minutes=3)), batch().rows[0].readings),)
    wire = encode_batch(batch(clock=ClockQuality.UNKNOWN, rows=rows))
    ingest(event(wire), cloud=cloud.cloud(), settings=SETTINGS)
    (row, _) = cloud.lake().to_pylist()
    assert (row["day"], row["time"], row["clock"]) == ("unknown", None, "unknown")
    assert row["device_time"] - moment_of_uptime(timedelta()) == timedelta(minutes=3)
    assert row["received"] == RECEIVED, "from which an analyst places it"


@pytest.mark.parametrize(
    ("ahead", "day"), [(timedelta(minutes=10), "2026-11-23"), (timedelta(minutes=10, milliseconds=1), "unknown")]
)
def test_a_reading_from_the_future_gets_no_day_whatever_its_device_says_of_its_clock(
    ahead: timedelta, day: str
) -> None:
    cloud = LakeCloud()
    rows = (Row(7, RECEIVED + ahead, batch().rows[0].readings),)
    ingest(event(encode_batch(batch(rows=rows))), cloud=cloud.cloud(), settings=SETTINGS)
    row = cloud.lake().to_pylist()[0]
    assert (row["day"], row["time"] is None, row["device_time"]) == (day, day == "unknown", RECEIVED + ahead)


@pytest.mark.parametrize("certificate", [None, "unlisted", 7])
def test_a_device_whose_model_nobody_knows_is_stored_all_the_same(certificate: object) -> None:
    cloud = LakeCloud()
    ingest({**event(encode_batch(batch())), "certificate": certificate}, cloud=cloud.cloud(), settings=SETTINGS)
    assert {row["model"] for row in cloud.lake().to_pylist()} == {"unknown"}


def test_a_model_that_is_no_label_makes_no_path_of_its_own() -> None:
    cloud = LakeCloud(models={"c0ffee": "../day=1999-01-01"})
    ingest(event(encode_batch(batch())), cloud=cloud.cloud(), settings=SETTINGS)
    assert {row["model"] for row in cloud.lake().to_pylist()} == {"unknown"}


def test_models_are_asked_for_once_and_a_hundred_at_a_time() -> None:
    cloud = LakeCloud(models={f"c{number}": "fl50" for number in range(250)})
    ours = cloud.cloud()
    many = [
        {**event(encode_batch(batch(device=f"d{number}")), device=f"d{number}"), "certificate": f"c{number}"}
        for number in range(250)
    ]
    for _ in range(2):
        ingest(records(*many), cloud=ours, settings=SETTINGS)
    assert [len(keys) for keys in cloud.asked] == [KEYS_A_REQUEST, KEYS_A_REQUEST, 50]


def test_a_stream_of_batches_becomes_one_file_a_day_and_model() -> None:
    cloud = LakeCloud(models={"c0ffee": "fl100", "cafe": "fl50"})
    first = [event(encode_batch(batch(device=f"d{number}")), device=f"d{number}") for number in range(5)]
    other = {**event(encode_batch(batch(device="e")), device="e"), "certificate": "cafe"}
    said = ingest(records(*first, other), cloud=cloud.cloud(), settings=SETTINGS)
    assert (said["batches"], said["readings"]) == (6, 24)
    assert len(cloud.objects) == 4, "two days, two models"
    assert cloud.lake().num_rows == 24
    assert cloud.counted == {"BatchesStored": 6}


def test_records_in_another_order_make_the_same_files() -> None:
    events = [event(encode_batch(batch(first=first))) for first in (9, 7, 11)]
    clouds = [LakeCloud(), LakeCloud()]
    for cloud, order in zip(clouds, (events, events[::-1]), strict=True):
        ingest(records(*order), cloud=cloud.cloud(), settings=SETTINGS)
    assert clouds[0].objects == clouds[1].objects


def test_a_batch_that_comes_twice_in_a_stream_is_stored_once_as_received_first() -> None:
    cloud = LakeCloud()
    wire = encode_batch(batch())
    late = event(wire, received=RECEIVED + timedelta(hours=1))
    ingest(records(late, event(wire)), cloud=cloud.cloud(), settings=SETTINGS)
    assert [row["received"] for row in cloud.lake().to_pylist()] == [RECEIVED] * 4


def test_both_ways_in_store_the_same_bytes_for_one_batch() -> None:
    clouds = [LakeCloud(), LakeCloud()]
    one = event(encode_batch(batch()))
    ingest(one, cloud=clouds[0].cloud(), settings=SETTINGS)
    ingest(records(one), cloud=clouds[1].cloud(), settings=SETTINGS)
    assert clouds[0].objects == clouds[1].objects


BAD = [
    (event(b"nonsense"), "not CBOR"),
    (event(encode_batch(batch()), device="device2"), "a batch of device1 on the topic of device2"),
    ({**event(b""), "payload": "%%%"}, "not base64"),
    ({**event(b""), "payload": "\N{LATIN SMALL LETTER E WITH ACUTE}"}, "not base64"),
    ({**event(encode_batch(batch())), "device": ["device1"]}, "on the topic of ['device1']"),
    ({"device": "device1"}, "has no 'payload'"),
    ({key: value for key, value in event(b"").items() if key != "received"}, "has no 'received'"),
    ({**event(b""), "received": True}, "milliseconds since 1970"),
    ({**event(b""), "received": 2**60}, "milliseconds since 1970"),
]


@pytest.mark.parametrize(("bad", "reason"), BAD)
def test_what_cannot_be_read_goes_to_the_dead_letters_whole_and_with_its_reason(
    bad: dict[str, Any], reason: str
) -> None:
    cloud = LakeCloud()
    said = ingest(bad, cloud=cloud.cloud(), settings=SETTINGS)
    assert said["outcome"] == "rejected"
    (letter,) = map(json.loads, cloud.letters)
    assert letter["event"] == bad
    assert reason in letter["reason"]
    assert cloud.counted == {"BatchesRejected": 1}


def test_a_bad_record_of_a_stream_stops_no_good_one() -> None:
    cloud = LakeCloud()
    said = ingest(
        records(event(encode_batch(batch())), b"no json", event(b"nonsense"), b"[]", b"[" * 100_000),
        cloud=cloud.cloud(),
        settings=SETTINGS,
    )
    assert cloud.lake().num_rows == 4
    reasons = [json.loads(letter)["reason"] for letter in cloud.letters]
    assert len(reasons) == 4
    assert reasons == said["reasons"]
    assert cloud.counted == {"BatchesStored": 1, "BatchesRejected": 4}


def test_a_replayed_batch_that_is_refused_again_makes_no_second_letter() -> None:
    cloud = LakeCloud()
    said = ingest(event(b"nonsense", replay=True), cloud=cloud.cloud(), settings=SETTINGS)
    assert (said["outcome"], cloud.letters) == ("rejected", [])


@pytest.mark.parametrize("failing", ["put_object", "send_message", "batch_get_item", "put_metric_data"])
def test_an_error_of_aws_is_raised_and_the_next_try_finishes(failing: str) -> None:
    cloud = LakeCloud(failing=failing)
    what = records(event(encode_batch(batch())), b"no json")
    with pytest.raises(ConnectionError):
        ingest(what, cloud=cloud.cloud(), settings=SETTINGS)
    assert cloud.counted == {}, "nothing is counted that did not happen"
    cloud.failing = None
    ingest(what, cloud=cloud.cloud(), settings=SETTINGS)
    assert cloud.lake().num_rows == 4
    assert cloud.letters


def test_a_failure_between_two_files_leaves_none_out() -> None:
    cloud = LakeCloud(failing="put_object", failing_after=1)
    one = event(encode_batch(batch()))
    with pytest.raises(ConnectionError):
        ingest(one, cloud=cloud.cloud(), settings=SETTINGS)
    assert len(cloud.objects) == 1
    cloud.failing = None
    ingest(one, cloud=cloud.cloud(), settings=SETTINGS)
    assert cloud.lake().num_rows == 4


def test_a_refusal_of_s3_is_no_success() -> None:
    cloud = LakeCloud(refusing=True)
    with pytest.raises(ClientError, match="AccessDenied"):
        ingest(event(encode_batch(batch())), cloud=cloud.cloud(), settings=SETTINGS)
    assert cloud.counted == {}
