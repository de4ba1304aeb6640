"""What the ingest function may do."""

from components.policies import arns
from components.policies.function import publish_metrics, write_own_log
from components.policies.statement import Document, Statement, allow, document
from components.policies.stream import read_stream

MEASUREMENTS_PREFIX = "measurements/"
"""Where batches are stored; the function that writes them names the rest of the key."""


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
