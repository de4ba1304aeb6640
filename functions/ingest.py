"""Stores a batch of measurements in the lake, as rows; what cannot be read goes to the dead letters with its reason.

The topic rule hands over `{payload: base64, device: from the topic, received: milliseconds since 1970}`. A batch always
gets the same key, so that a second delivery overwrites the first with the same bytes. An error of AWS is raised: Lambda
tries again, and then puts the event into the dead letter queue itself.

Needs: s3:PutObject on `measurements/`; sqs:SendMessage on the dead letter queue; cloudwatch:PutMetricData.
"""

import base64
import binascii
import gzip
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from functions.clients import client
from functions.log import log
from functions.metrics import count
from protocol.measurement import Batch, ClockQuality
from protocol.telemetry import BatchRefusedError, decode_batch

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

STORED = "BatchesStored"
REJECTED = "BatchesRejected"
PREFIX = "measurements"
NO_DAY = "unknown"
"""The partition of batches whose device has no clock: no day is better than a wrong one."""


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """The services ingestion uses."""

    s3: "S3Client"
    sqs: "SQSClient"
    cloudwatch: "CloudWatchClient"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The function's environment variables."""

    lake_bucket: str
    dead_letter_queue_url: str
    environment: str

    @classmethod
    def read(cls, variables: Mapping[str, str]) -> "Settings":
        """The settings in `variables`; `KeyError` names the one that is missing."""
        return cls(
            lake_bucket=variables["LAKE_BUCKET"],
            dead_letter_queue_url=variables["DEAD_LETTER_QUEUE_URL"],
            environment=variables["ENVIRONMENT"],
        )


def handler(event: Mapping[str, Any], _context: object) -> dict[str, str]:
    """What Lambda calls with the topic rule's event."""
    cloud = Cloud(s3=client("s3"), sqs=client("sqs"), cloudwatch=client("cloudwatch"))
    return ingest(event, cloud=cloud, settings=Settings.read(os.environ))


def ingest(event: Mapping[str, Any], *, cloud: Cloud, settings: Settings) -> dict[str, str]:
    """Stores or rejects one batch; the answer is what was logged."""
    try:
        batch = read_event(event)
    except BatchRefusedError as error:
        return _reject(event, str(error), cloud, settings)
    key = object_key(batch)
    cloud.s3.put_object(
        Bucket=settings.lake_bucket,
        Key=key,
        Body=gzip.compress("".join(lines(batch)).encode(), mtime=0),
        ContentType="application/x-ndjson",
        ContentEncoding="gzip",
    )
    count(cloud.cloudwatch, environment=settings.environment, metric=STORED)
    said = {"outcome": "stored", "device": batch.device, "key": key}
    log("batch", **said, measurements=batch.measurements)
    return said


def read_event(event: Mapping[str, Any]) -> Batch:
    """The batch in a rule's event, sent by the device whose topic it came on; else `BatchRefusedError`."""
    try:
        wire = base64.b64decode(str(event["payload"]), validate=True)
        topic_device = event["device"]
    except KeyError as error:
        raise BatchRefusedError(f"the event has no {error}; does the rule select payload and device?") from error
    except binascii.Error as error:
        raise BatchRefusedError(f"the payload is not base64: {error}") from error
    batch = decode_batch(wire)
    if batch.device != topic_device:
        raise BatchRefusedError(f"a batch of {batch.device} on the topic of {topic_device}")
    return batch


def object_key(batch: Batch) -> str:
    """Where the batch lies in the lake: by the day its first row was sampled, in UTC."""
    day = NO_DAY if batch.clock is ClockQuality.UNKNOWN else batch.rows[0].time.date().isoformat()
    return f"{PREFIX}/day={day}/{batch.device}-{batch.epoch}-{batch.first}-{batch.last}.json.gz"


def lines(batch: Batch) -> Iterator[str]:
    """The batch as JSON lines, one a measurement; a value stays the exact decimal that was sent, as text."""
    common = {
        "device": batch.device,
        "epoch": batch.epoch,
        "firmware": batch.firmware,
        "boot_count": batch.boot_count,
        "clock": batch.clock.name.lower(),
    }
    for row in batch.rows:
        moment = {"sequence": row.sequence, "time": row.time.isoformat(timespec="milliseconds")}
        for reading in row.readings:
            measured = {"channel": reading.channel, "value": f"{reading.value:f}", "unit": reading.unit}
            yield json.dumps(common | moment | measured) + "\n"


def _reject(event: Mapping[str, Any], reason: str, cloud: Cloud, settings: Settings) -> dict[str, str]:
    letter = json.dumps({"reason": reason, "event": event}, default=str)
    cloud.sqs.send_message(QueueUrl=settings.dead_letter_queue_url, MessageBody=letter)
    count(cloud.cloudwatch, environment=settings.environment, metric=REJECTED)
    said = {"outcome": "rejected", "device": str(event.get("device")), "reason": reason}
    log("batch", **said)
    return said
