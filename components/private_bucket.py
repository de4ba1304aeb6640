"""A bucket nobody outside reaches: the part the lake and the firmware store have in common."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.naming import Naming
from components.policies.transport import bucket_policy
from components.policy_text import policy_text

INCOMPLETE_UPLOAD_DAYS = 7
"""When parts of an upload that was never finished are dropped; they cost money and no listing shows them."""


@dataclass(frozen=True, kw_only=True)
class PrivateBucketArgs:
    """Where the bucket is, what for, and with which key it is encrypted."""

    naming: Naming
    tags: dict[str, str]
    region: str
    purpose: str
    """Part of the bucket's name."""
    key_arn: pulumi.Input[str] | None = None
    """KMS key of the same region; without one, S3's own key."""
    object_lock_enabled: bool = False
    protect: bool = False


class PrivateBucket(pulumi.ComponentResource):
    """Versioned, encrypted, TLS only, no public access, no ACLs."""

    bucket_name: pulumi.Output[str]
    bucket_arn: pulumi.Output[str]
    versioning: aws.s3.BucketVersioning
    """What needs versions (Object Lock, replication) waits for this."""

    def __init__(self, name: str, args: PrivateBucketArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("flotilla:index:PrivateBucket", name, None, opts)
        self._region = args.region
        child = pulumi.ResourceOptions(parent=self)
        bucket = aws.s3.Bucket(
            f"{name}-bucket",
            bucket=args.naming.bucket(args.purpose, region=args.region),
            region=args.region,
            object_lock_enabled=args.object_lock_enabled,
            tags=args.tags,
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect),
        )
        self.bucket_name, self.bucket_arn = bucket.bucket, bucket.arn
        ownership = aws.s3.BucketOwnershipControlsRuleArgs(object_ownership="BucketOwnerEnforced")
        aws.s3.BucketOwnershipControls(
            f"{name}-ownership", bucket=bucket.bucket, region=args.region, rule=ownership, opts=child
        )
        public_access = aws.s3.BucketPublicAccessBlock(
            f"{name}-public-access",
            bucket=bucket.bucket,
            region=args.region,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=child,
        )
        aws.s3.BucketPolicy(
            f"{name}-policy",
            bucket=bucket.bucket,
            region=args.region,
            policy=policy_text(bucket_policy, bucket=bucket.bucket),
            # S3 refuses one of two changes to a bucket's access made at once.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[public_access]),
        )
        self.versioning = aws.s3.BucketVersioning(
            f"{name}-versioning",
            bucket=bucket.bucket,
            region=args.region,
            versioning_configuration=aws.s3.BucketVersioningVersioningConfigurationArgs(status="Enabled"),
            opts=child,
        )
        self._encrypt(name, args.key_arn)
        self._drop_incomplete_uploads(name)
        self.register_outputs({"bucket_name": self.bucket_name, "bucket_arn": self.bucket_arn})

    def _encrypt(self, name: str, key_arn: pulumi.Input[str] | None) -> None:
        default = aws.s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs(
            sse_algorithm="aws:kms" if key_arn is not None else "AES256", kms_master_key_id=key_arn
        )
        rule = aws.s3.BucketServerSideEncryptionConfigurationRuleArgs(
            apply_server_side_encryption_by_default=default,
            # One data key a bucket and a while, instead of a KMS request an object.
            bucket_key_enabled=key_arn is not None,
        )
        aws.s3.BucketServerSideEncryptionConfiguration(
            f"{name}-encryption",
            bucket=self.bucket_name,
            region=self._region,
            rules=[rule],
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _drop_incomplete_uploads(self, name: str) -> None:
        abort = aws.s3.BucketLifecycleConfigurationRuleAbortIncompleteMultipartUploadArgs(
            days_after_initiation=INCOMPLETE_UPLOAD_DAYS
        )
        rule = aws.s3.BucketLifecycleConfigurationRuleArgs(
            id="drop-incomplete-uploads",
            status="Enabled",
            filter=aws.s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=""),
            abort_incomplete_multipart_upload=abort,
        )
        aws.s3.BucketLifecycleConfiguration(
            f"{name}-lifecycle",
            bucket=self.bucket_name,
            region=self._region,
            rules=[rule],
            opts=pulumi.ResourceOptions(parent=self, depends_on=[self.versioning]),
        )
