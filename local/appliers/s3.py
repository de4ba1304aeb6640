"""Amazon S3: the bucket itself. What is set on it stands in `s3_settings`."""

from typing import Any

from local.appliers.applier import Answer, Applier, Request, gone

_WITHOUT_CONSTRAINT = "us-east-1"
"""The region that must not be named as a location (S3 API, CreateBucket)."""


def _create_bucket(request: Request) -> Answer:
    name, s3 = request.physical_name("bucket"), request.client("s3")
    extra: dict[str, Any] = {}
    if request.region != _WITHOUT_CONSTRAINT:
        extra["CreateBucketConfiguration"] = {"LocationConstraint": request.region}
    if request.inputs.get("objectLockEnabled"):
        extra["ObjectLockEnabledForBucket"] = True
    s3.create_bucket(Bucket=name, **extra)
    domain = f"{name}.s3.amazonaws.com"
    bucket = Answer(
        name,
        {
            "arn": f"arn:aws:s3:::{name}",
            "bucket": name,
            "bucketDomainName": domain,
            "bucketRegionalDomainName": f"{name}.s3.{request.region}.amazonaws.com",
            "region": request.region,
        },
    )
    return _tag_bucket(request, bucket)


def _tag_bucket(request: Request, bucket: Answer) -> Answer:
    if request.tags:
        request.client("s3").put_bucket_tagging(Bucket=bucket.id, Tagging={"TagSet": request.tags})
    return bucket


def _delete_bucket(request: Request, former: Answer) -> None:
    s3 = request.client("s3")
    if request.inputs.get("forceDestroy"):
        gone(lambda: _empty(s3, former.id))
    gone(lambda: s3.delete_bucket(Bucket=former.id))


def _empty(s3: Any, bucket: str) -> None:
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        for version in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
            s3.delete_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])


APPLIERS = {
    "aws:s3/bucket:Bucket": Applier(
        _create_bucket, _delete_bucket, _tag_bucket, fixed=("bucket", "region", "objectLockEnabled")
    ),
}
