"""What the ingest function may do, and a person who looks after the lake."""

from collections.abc import Mapping
from dataclasses import dataclass

from components.policies import arns
from components.policies.function import publish_metrics, write_own_log
from components.policies.statement import Document, Statement, allow, document
from components.policies.stream import read_stream

MEASUREMENTS_PREFIX = "measurements/"
"""Where batches are stored; the function that writes them names the rest of the key."""


@dataclass(frozen=True, kw_only=True)
class LakePlace:
    """The names of one cluster's lake and what fills it."""

    bucket: str
    queue_arn: str
    function: str
    stream: str


def ingest_policy(
    *, function: str, bucket: str, manifest_table_arn: str, queue_arn: str, region: str, account_id: str
) -> Document:
    """Store batches by their devices' models, send what it cannot read to the dead letter queue, count both.

    It reads nothing of the lake and deletes nothing. The manifest is asked by certificate, and never searched.
    """
    granted = _ingest(
        function=function,
        bucket=bucket,
        manifest_table_arn=manifest_table_arn,
        queue_arn=queue_arn,
        region=region,
        account_id=account_id,
    )
    return document(*granted)


def stream_ingest_policy(
    *,
    function: str,
    bucket: str,
    manifest_table_arn: str,
    queue_arn: str,
    stream_arn: str,
    region: str,
    account_id: str,
) -> Document:
    """The same where a stream gathers the batches, and reading that stream."""
    granted = _ingest(
        function=function,
        bucket=bucket,
        manifest_table_arn=manifest_table_arn,
        queue_arn=queue_arn,
        region=region,
        account_id=account_id,
    )
    return document(*granted, read_stream(stream_arn))


def lake_operator_policy(*, clusters: Mapping[str, LakePlace], account_id: str) -> Document:
    """What a person needs for `fleet lake replay` and `compact`; `clusters`: region to what is there.

    No role is made of it, as with `route_operator_policy`. Deleting is for files whose readings were written anew; the
    bucket keeps every version.
    """
    buckets = [arns.bucket(place.bucket) for place in clusters.values()]
    files = [arns.objects(place.bucket, prefix=MEASUREMENTS_PREFIX) for place in clusters.values()]
    functions = [
        arns.function(place.function, region=region, account_id=account_id) for region, place in clusters.items()
    ]
    streams = [arns.stream(place.stream, region=region, account_id=account_id) for region, place in clusters.items()]
    letters = ["sqs:ReceiveMessage", "sqs:ChangeMessageVisibility", "sqs:DeleteMessage"]
    return document(
        allow("AnswerDeadLetters", letters, [place.queue_arn for place in clusters.values()]),
        allow("SendAgain", ["lambda:InvokeFunction"], functions),
        allow("FetchRecords", ["kinesis:GetShardIterator", "kinesis:GetRecords"], streams),
        allow(
            "ListFiles", ["s3:ListBucket"], buckets, condition={"StringLike": {"s3:prefix": f"{MEASUREMENTS_PREFIX}*"}}
        ),
        allow("WriteFilesAnew", ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"], files),
    )


def _ingest(
    *, function: str, bucket: str, manifest_table_arn: str, queue_arn: str, region: str, account_id: str
) -> tuple[Statement, ...]:
    return (
        allow("StoreBatches", ["s3:PutObject"], [arns.objects(bucket, prefix=MEASUREMENTS_PREFIX)]),
        allow("KnowModels", ["dynamodb:BatchGetItem"], [manifest_table_arn]),
        allow("SendDeadLetters", ["sqs:SendMessage"], [queue_arn]),
        publish_metrics(),
        write_own_log(function, region=region, account_id=account_id),
    )
