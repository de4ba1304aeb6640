"""Amazon S3: what is set on a bucket, one resource a setting."""

from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from local.appliers.applier import Answer, Applier, Request, gone, keep, settings
from local.appliers.shape import pascal

_NAMES = {
    "id": "ID",
    "kmsMasterKeyId": "KMSMasterKeyID",
    "replicaKmsKeyId": "ReplicaKmsKeyID",
    "sseAlgorithm": "SSEAlgorithm",
}
"""Where the API's name differs by more than the first letter."""
Shape = Callable[[Mapping[str, Any]], dict[str, Any]]


def _setting(put: str, shape: Shape, delete: str | None = None) -> Applier:
    """A setting that `put` writes with what `shape` makes of the inputs, and `delete` takes away, if anything does."""

    def write(request: Request) -> Answer:
        bucket = request.inputs["bucket"]
        getattr(request.client("s3"), put)(Bucket=bucket, **shape(request.inputs))
        return Answer(bucket, {"bucket": bucket})

    def remove(request: Request, former: Answer) -> None:
        gone(lambda: getattr(request.client("s3"), str(delete))(Bucket=former.id))

    return settings(write, remove if delete else keep, fixed=("bucket", "region"))


def _versioning(inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {"VersioningConfiguration": pascal(inputs["versioningConfiguration"])}


def _encryption(inputs: Mapping[str, Any]) -> dict[str, Any]:
    rules = [
        {
            key: value
            for key, value in pascal(rule, _NAMES).items()
            if key in ("ApplyServerSideEncryptionByDefault", "BucketKeyEnabled")
        }
        for rule in inputs["rules"]
    ]
    return {"ServerSideEncryptionConfiguration": {"Rules": rules}}


def _public_access(inputs: Mapping[str, Any]) -> dict[str, Any]:
    names = ("blockPublicAcls", "ignorePublicAcls", "blockPublicPolicy", "restrictPublicBuckets")
    return {"PublicAccessBlockConfiguration": pascal({name: inputs.get(name, False) for name in names})}


def _lifecycle(inputs: Mapping[str, Any]) -> dict[str, Any]:
    names = {**_NAMES, "transitions": "Transitions", "noncurrentVersionTransitions": "NoncurrentVersionTransitions"}
    return {"LifecycleConfiguration": {"Rules": pascal(inputs["rules"], names)}}


def _object_lock(inputs: Mapping[str, Any]) -> dict[str, Any]:
    lock: dict[str, Any] = {"ObjectLockEnabled": inputs.get("objectLockEnabled", "Enabled")}
    if "rule" in inputs:
        lock["Rule"] = pascal(inputs["rule"])
    return {"ObjectLockConfiguration": lock}


def _ownership(inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {"OwnershipControls": {"Rules": [pascal(inputs["rule"])]}}


def _replicate(request: Request) -> Answer:
    """Keep the configuration; the copying itself happens only within one cell."""
    bucket, s3 = request.inputs["bucket"], request.client("s3")
    rules = pascal(request.inputs["rules"], _NAMES)
    s3.put_bucket_replication(Bucket=bucket, ReplicationConfiguration={"Role": request.inputs["role"], "Rules": rules})
    targets = [rule["Destination"]["Bucket"].rpartition(":")[2] for rule in rules]
    gaps = tuple(
        f"replication to {target}: it is in another region, so in another cell: nothing is copied"
        for target in targets
        if not _is_here(s3, target)
    )
    return Answer(bucket, {"bucket": bucket}, gaps)


def _is_here(s3: Any, bucket: str) -> bool:
    try:
        s3.head_bucket(Bucket=bucket)
    except ClientError:
        return False
    return True


def _stop_replication(request: Request, former: Answer) -> None:
    gone(lambda: request.client("s3").delete_bucket_replication(Bucket=former.id))


APPLIERS = {
    "aws:s3/bucketVersioning:BucketVersioning": _setting("put_bucket_versioning", _versioning),
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": _setting(
        "put_bucket_encryption", _encryption, "delete_bucket_encryption"
    ),
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": _setting(
        "put_public_access_block", _public_access, "delete_public_access_block"
    ),
    "aws:s3/bucketPolicy:BucketPolicy": _setting(
        "put_bucket_policy", lambda inputs: {"Policy": inputs["policy"]}, "delete_bucket_policy"
    ),
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": _setting(
        "put_bucket_lifecycle_configuration", _lifecycle, "delete_bucket_lifecycle"
    ),
    "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration": _setting(
        "put_object_lock_configuration", _object_lock
    ),
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": _setting(
        "put_bucket_ownership_controls", _ownership, "delete_bucket_ownership_controls"
    ),
    "aws:s3/bucketReplicationConfig:BucketReplicationConfig": settings(
        _replicate, _stop_replication, fixed=("bucket", "region")
    ),
}
