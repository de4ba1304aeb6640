"""Who may do what with released firmware and the keys it is encrypted with."""

from collections.abc import Sequence

from components.policies import arns
from components.policies.keys import administer, rotate
from components.policies.statement import Document, Statement, allow, allow_principal, document
from components.policies.trust import S3_SERVICE

_THIS_KEY = ["*"]


def firmware_key_policy(*, account_id: str, region: str) -> Document:
    """The key of a region's firmware bucket: used only through S3, by whom the account's IAM policies allow."""
    return document(
        administer(account_id),
        rotate(account_id),
        allow_principal(
            "UseThroughS3",
            {"AWS": arns.account_root(account_id)},
            ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey"],
            _THIS_KEY,
            condition={
                "StringEquals": {
                    "kms:ViaService": f"s3.{region}.amazonaws.com",
                    "kms:CallerAccount": account_id,
                }
            },
        ),
    )


def replication_trust() -> Document:
    """The trust of the replication role, as the S3 User Guide gives it ("Setting up permissions for live replication").

    Unlike other services S3 does not document that it passes aws:SourceAccount here, and a condition on a key it does
    not pass would stop replication without a word. S3 refuses a replication role of another account than the bucket's,
    which leaves nobody to be confused.
    """
    return document(
        {
            "Sid": "OnlyReplication",
            "Effect": "Allow",
            "Principal": {"Service": S3_SERVICE},
            "Action": "sts:AssumeRole",
        }
    )


def replication_policy(
    *, source: str, source_region: str, source_key_arn: str, targets: Sequence[Sequence[str]]
) -> Document:
    """What replication may do: read versions at home, write them elsewhere. Deleting is not among it.

    `targets`: bucket name, region and key ARN of each bucket replicated to.
    """
    return document(
        allow("ReadConfiguration", ["s3:GetReplicationConfiguration", "s3:ListBucket"], [arns.bucket(source)]),
        allow(
            "ReadVersions",
            [
                "s3:GetObjectLegalHold",
                "s3:GetObjectRetention",
                "s3:GetObjectVersionAcl",
                "s3:GetObjectVersionForReplication",
                "s3:GetObjectVersionTagging",
            ],
            [arns.objects(source)],
        ),
        allow(
            "WriteReplicas",
            ["s3:ReplicateObject", "s3:ReplicateTags"],
            [arns.objects(bucket) for bucket, _, _ in targets],
        ),
        _use_key("DecryptAtHome", "kms:Decrypt", source, source_region, source_key_arn),
        *(
            _use_key(f"EncryptIn{_sid(region)}", "kms:Encrypt", bucket, region, key_arn)
            for bucket, region, key_arn in targets
        ),
    )


def _use_key(sid: str, action: str, bucket: str, region: str, key_arn: str) -> Statement:
    """Use of a bucket's key for that bucket alone. With a bucket key the context names the bucket (S3 User Guide)."""
    condition = {
        "StringEquals": {
            "kms:ViaService": f"s3.{region}.amazonaws.com",
            "kms:EncryptionContext:aws:s3:arn": arns.bucket(bucket),
        }
    }
    return allow(sid, [action], [key_arn], condition=condition)


def _sid(region: str) -> str:
    """A region as part of a statement id, which takes letters and digits only."""
    return "".join(part.title() for part in region.split("-"))
