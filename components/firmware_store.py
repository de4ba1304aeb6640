"""Where released firmware is kept: written once at home, the same in every cluster region, not to be changed or lost.

Devices read through presigned URLs of the bucket nearest to them. Object Lock holds a release for the retention the
environment asks for (design decision 9).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.naming import Naming
from components.policies.firmware import firmware_key_policy, replication_policy, replication_trust
from components.policy_text import policy_text
from components.private_bucket import PrivateBucket, PrivateBucketArgs
from stacks.environment import Firmware

KEY_DELETION_DAYS = 30  # KMS: the longest waiting period; every release would be lost with the key


@dataclass(frozen=True, kw_only=True)
class FirmwareStoreArgs:
    """The regions that hold firmware, and how long a release cannot be deleted."""

    naming: Naming
    home_region: str
    """Where releases are written; the others are copies."""
    regions: Sequence[str]
    """Every cluster region, the home region among them."""
    firmware: Firmware


class FirmwareStore(pulumi.ComponentResource):
    """One locked, versioned, encrypted bucket a region, replicated from home."""

    bucket_names: dict[str, pulumi.Output[str]]
    """By region."""

    def __init__(self, name: str, args: FirmwareStoreArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("flotilla:index:FirmwareStore", name, None, opts)
        self._name, self._args = name, args
        self._tags = args.naming.tags(name)
        self._is_kept = args.naming.protects or args.firmware.retention_mode == "COMPLIANCE"
        self._keys = {region: self._key(region) for region in args.regions}
        self._buckets = {region: self._bucket(region) for region in args.regions}
        if len(args.regions) > 1:
            self._replicate()
        self.bucket_names = {region: bucket.bucket_name for region, bucket in self._buckets.items()}
        self.register_outputs({"bucket_names": self.bucket_names})

    def _key(self, region: str) -> aws.kms.Key:
        key = aws.kms.Key(
            f"{self._name}-{region}-key",
            description=f"Flotilla {self._args.naming.environment}: released firmware in {region}",
            region=region,
            enable_key_rotation=True,
            deletion_window_in_days=KEY_DELETION_DAYS,
            policy=policy_text(firmware_key_policy, account_id=self._args.naming.account_id, region=region),
            tags=self._tags,
            opts=pulumi.ResourceOptions(parent=self, protect=self._is_kept),
        )
        aws.kms.Alias(
            f"{self._name}-{region}-key-alias",
            name=f"alias/{self._args.naming.name('firmware')}",
            region=region,
            target_key_id=key.key_id,
            opts=pulumi.ResourceOptions(parent=self),
        )
        return key

    def _bucket(self, region: str) -> PrivateBucket:
        bucket = PrivateBucket(
            f"{self._name}-{region}",
            PrivateBucketArgs(
                naming=self._args.naming,
                tags=self._tags,
                region=region,
                purpose="firmware",
                key_arn=self._keys[region].arn,
                object_lock_enabled=True,
                protect=self._is_kept,
            ),
            pulumi.ResourceOptions(parent=self),
        )
        retention = aws.s3.BucketObjectLockConfigurationRuleDefaultRetentionArgs(
            mode=self._args.firmware.retention_mode, days=self._args.firmware.retention_days
        )
        aws.s3.BucketObjectLockConfiguration(
            f"{self._name}-{region}-lock",
            bucket=bucket.bucket_name,
            region=region,
            object_lock_enabled="Enabled",
            rule=aws.s3.BucketObjectLockConfigurationRuleArgs(default_retention=retention),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[bucket.versioning]),
        )
        return bucket

    def _replicate(self) -> None:
        """Copy every version from home to every other region. Delete markers stay where they were made."""
        home = self._args.home_region
        others = [region for region in self._args.regions if region != home]
        role = aws.iam.Role(
            f"{self._name}-replication-role",
            name=self._args.naming.name("firmware-replication"),
            description="S3 copies released firmware from the home region to the cluster regions",
            assume_role_policy=json.dumps(replication_trust()),
            tags=self._tags,
            opts=pulumi.ResourceOptions(parent=self),
        )
        permission = aws.iam.RolePolicy(
            f"{self._name}-replication-policy",
            name="replicate",
            role=role.name,
            policy=policy_text(
                replication_policy,
                source=self._buckets[home].bucket_name,
                source_region=home,
                source_key_arn=self._keys[home].arn,
                targets=[[self._buckets[region].bucket_name, region, self._keys[region].arn] for region in others],
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        versioned = [self._buckets[region].versioning for region in self._args.regions]
        aws.s3.BucketReplicationConfig(
            f"{self._name}-replication",
            bucket=self._buckets[home].bucket_name,
            region=home,
            role=role.arn,
            rules=[self._rule(region, priority) for priority, region in enumerate(others, start=1)],
            opts=pulumi.ResourceOptions(parent=self, depends_on=[permission, *versioned]),
        )

    def _rule(self, region: str, priority: int) -> aws.s3.BucketReplicationConfigRuleArgs:
        encryption = aws.s3.BucketReplicationConfigRuleDestinationEncryptionConfigurationArgs(
            replica_kms_key_id=self._keys[region].arn
        )
        encrypted = aws.s3.BucketReplicationConfigRuleSourceSelectionCriteriaSseKmsEncryptedObjectsArgs(
            status="Enabled"
        )
        return aws.s3.BucketReplicationConfigRuleArgs(
            id=f"to-{region}",
            priority=priority,
            status="Enabled",
            filter=aws.s3.BucketReplicationConfigRuleFilterArgs(prefix=""),
            delete_marker_replication=aws.s3.BucketReplicationConfigRuleDeleteMarkerReplicationArgs(status="Disabled"),
            source_selection_criteria=aws.s3.BucketReplicationConfigRuleSourceSelectionCriteriaArgs(
                sse_kms_encrypted_objects=encrypted
            ),
            destination=aws.s3.BucketReplicationConfigRuleDestinationArgs(
                bucket=self._buckets[region].bucket_arn, encryption_configuration=encryption
            ),
        )
