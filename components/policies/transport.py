"""Refusing whoever does not use TLS (AWS Security Hub controls S3.5 and its like for queues and topics)."""

from components.policies import arns
from components.policies.statement import Condition, Document, Statement, deny_everyone, document

_PLAINTEXT: Condition = {"Bool": {"aws:SecureTransport": "false"}}


def deny_plaintext(action: str, *resources: str) -> Statement:
    """The refusal itself, for the policy of a resource; `action` is a service's every action, as `sqs:*`."""
    return deny_everyone("TlsOnly", [action], list(resources), condition=_PLAINTEXT)


def bucket_policy(*, bucket: str) -> Document:
    """The policy of a bucket: nothing without TLS. Who may do what is said by roles.

    AWS's own end points take no TLS below 1.2, so nothing is said of versions (AWS Storage Blog, 8 April 2024).
    """
    return document(deny_plaintext("s3:*", arns.bucket(bucket), arns.objects(bucket)))
