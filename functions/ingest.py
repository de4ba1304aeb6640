"""Stores batches of measurements in the lake, as columns; what cannot be read goes to the dead letters with its reason.

Two ways lead here (docs/adr/0014). Of a small fleet the topic rule hands over every batch by itself: `{payload: base64,
device: from the topic, received: milliseconds since 1970, certificate: fingerprint}`. Of a large one it puts the same
into a Kinesis stream, and Lambda hands over what gathered there, many batches at once. A batch always gets the same
key, and the file that lies there first stays: a second delivery changes nothing. An error of AWS is raised: Lambda
tries again, and then tells the dead letter queue itself.

With `replay` in its event a batch that is refused again makes no second letter: the answer says why, to whoever sent it
(`fleet lake replay`).

Needs: s3:PutObject on `measurements/`; dynamodb:BatchGetItem on the manifest; sqs:SendMessage on the dead letter queue;
cloudwatch:PutMetricData.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from functions.clients import client
from functions.delivery import Delivery, read_delivery, read_record
from functions.lake_files import LakeFile, lake_files
from functions.log import log
from functions.metrics import report
from functions.models import Models
from protocol.telemetry import BatchRefusedError

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

STORED = "BatchesStored"
REJECTED = "BatchesRejected"
STORED_ALREADY = 412
"""S3's answer to `If-None-Match` where the object is there (S3 User Guide, conditional writes)."""


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """The services ingestion uses."""

    s3: "S3Client"
    sqs: "SQSClient"
    cloudwatch: "CloudWatchClient"
    models: Models


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The function's environment variables."""

    lake_bucket: str
    manifest_table: str
    dead_letter_queue_url: str
    environment: str

    @classmethod
    def read(cls, variables: Mapping[str, str]) -> "Settings":
        """The settings in `variables`; `KeyError` names the one that is missing."""
        return cls(
            lake_bucket=variables["LAKE_BUCKET"],
            manifest_table=variables["MANIFEST_TABLE"],
            dead_letter_queue_url=variables["DEAD_LETTER_QUEUE_URL"],
            environment=variables["ENVIRONMENT"],
        )


@dataclass(frozen=True)
class Refusal:
    """An event that holds no batch, and why."""

    event: Mapping[str, Any]
    reason: str


def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """What Lambda calls, with the topic rule's event or with records of the stream."""
    settings = Settings.read(os.environ)
    cloud = Cloud(
        s3=client("s3"), sqs=client("sqs"), cloudwatch=client("cloudwatch"), models=_models(settings.manifest_table)
    )
    return ingest(event, cloud=cloud, settings=settings)


@cache
def _models(table: str) -> Models:
    return Models(client("dynamodb"), table)


def ingest(event: Mapping[str, Any], *, cloud: Cloud, settings: Settings) -> dict[str, Any]:
    """Store or reject what the event holds; the answer is what was logged.

    Letters come after what is stored, so that none is written again because storing failed.
    """
    records = event.get("Records")
    deliveries, refusals = _read([event] if records is None else records, is_stream=records is not None)
    certificates = {delivery.certificate for delivery in deliveries if delivery.certificate}
    files = lake_files(deliveries, cloud.models.find(certificates))
    is_new = [_store(file, cloud, settings) for file in files]
    if not event.get("replay"):
        for refusal in refusals:
            letter = json.dumps({"reason": refusal.reason, "event": refusal.event}, default=str)
            cloud.sqs.send_message(QueueUrl=settings.dead_letter_queue_url, MessageBody=letter)
    counted = {STORED: len(deliveries) if any(is_new) else 0, REJECTED: len(refusals)}
    if any(counted.values()):
        report(
            cloud.cloudwatch,
            environment=settings.environment,
            values={metric: value for metric, value in counted.items() if value},
        )
    said = {
        "outcome": "rejected" if refusals else "stored",
        "batches": len(deliveries),
        "readings": sum(file.readings for file in files),
        "keys": [file.key for file in files],
        "reasons": [refusal.reason for refusal in refusals],
    }
    log("ingested", **said, new_files=sum(is_new), devices=sorted({each.envelope.device for each in deliveries})[:5])
    return said


def _read(events: Sequence[Mapping[str, Any]], *, is_stream: bool) -> tuple[list[Delivery], list[Refusal]]:
    deliveries, refusals = [], []
    for each in events:
        event = each
        try:
            if is_stream:
                event = read_record(each)
            deliveries.append(read_delivery(event))
        except BatchRefusedError as error:
            refusals.append(Refusal(event, str(error)))
    return deliveries, refusals


def _store(file: LakeFile, cloud: Cloud, settings: Settings) -> bool:
    """Put the file where none is; whether it was new."""
    try:
        cloud.s3.put_object(
            Bucket=settings.lake_bucket,
            Key=file.key,
            Body=file.content,
            ContentType="application/vnd.apache.parquet",
            IfNoneMatch="*",
        )
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != STORED_ALREADY:
            raise
        return False
    return True
