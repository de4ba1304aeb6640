"""What the ingest function may do."""

from components.policies import arns
from components.policies.function import publish_metrics, write_own_log
from components.policies.statement import Document, allow, document

MEASUREMENTS_PREFIX = "measurements/"
"""Where batches are stored; the function that writes them names the rest of the key."""


def ingest_policy(
    *, function: str, bucket: str, manifest_table_arn: str, queue_arn: str, region: str, account_id: str
) -> Document:
    """Store batches by their devices' models, send what it cannot read to the dead letter queue, count both.

    It reads nothing of the lake and deletes nothing. The manifest is asked by certificate, and never searched.
    """
    return document(
        allow("StoreBatches", ["s3:PutObject"], [arns.objects(bucket, prefix=MEASUREMENTS_PREFIX)]),
        allow("KnowModels", ["dynamodb:BatchGetItem"], [manifest_table_arn]),
        allow("SendDeadLetters", ["sqs:SendMessage"], [queue_arn]),
        publish_metrics(),
        write_own_log(function, region=region, account_id=account_id),
    )
