"""What the ingest function may do."""

from components.policies import arns
from components.policies.function import publish_metrics, write_own_log
from components.policies.statement import Document, allow, document

MEASUREMENTS_PREFIX = "measurements/"
"""Where batches are stored; the function that writes them names the rest of the key."""


def ingest_policy(*, function: str, bucket: str, queue_arn: str, region: str, account_id: str) -> Document:
    """Store batches, send those it cannot read to the dead letter queue, count both. It never reads or deletes."""
    return document(
        allow("StoreBatches", ["s3:PutObject"], [arns.objects(bucket, prefix=MEASUREMENTS_PREFIX)]),
        allow("SendDeadLetters", ["sqs:SendMessage"], [queue_arn]),
        publish_metrics(),
        write_own_log(function, region=region, account_id=account_id),
    )
