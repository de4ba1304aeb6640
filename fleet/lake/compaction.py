"""A day of the lake written anew: each reading once, one file a model, instead of one a batch.

The new file is written before the old ones go, and named after its content. Killed in between, both lie there, readers
fold them, and the next run finishes. What is written meanwhile stays for the next run too.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from io import BytesIO
from typing import TYPE_CHECKING

import pyarrow.compute as pc
import pyarrow.parquet as pq
from botocore.exceptions import ClientError

from fleet.errors import RefusedError, UnfinishedError
from fleet.lake.fold import SCHEMA, fold
from fleet.lake.reading import TooManyReadingsError, read_files
from protocol.lake import SUFFIX, Partition, day_prefix, partition_of

if TYPE_CHECKING:
    import pyarrow as pa
    from mypy_boto3_s3 import S3Client

MOST_READINGS = 10_000_000
"""What a run takes into memory, copies included: 3.3 GB of them."""
PEAK_BYTES_A_READING = 330
"""The most that any moment takes: 145 bytes, and once more while they are put in order (measured: 307). Files say
nothing about it: a reading takes 1.7 bytes in a file of many batches, and 16 in one of its own."""
DELETED_AT_ONCE = 1000  # S3, DeleteObjects
EXISTS = 412  # S3's answer to If-None-Match where the object is there


@dataclass(frozen=True, kw_only=True)
class Compacted:
    """What a day was, and what it is now."""

    day: str
    files_before: int
    files_after: int
    bytes_before: int
    bytes_after: int
    readings: int
    duplicates: int
    conflicts: int
    """Copies of a reading that said something else than the one that stays: a fault of their devices."""


def compact(s3: "S3Client", bucket: str, day: date | None, *, dry_run: bool) -> Compacted:
    """Compact a day, or what has none. Harmless when repeated; `dry_run` writes and deletes nothing."""
    sizes = dict(_files(s3, bucket, day_prefix(day)))
    try:
        folded = fold(read_files(s3, bucket, sizes, most=MOST_READINGS))
    except TooManyReadingsError:
        raise RefusedError(
            f"{day or 'what has no day'} has more than the {MOST_READINGS:,} readings that this command takes into "
            f"memory, in {len(sizes):,} files; nothing was changed; compact such a day with Athena (docs/lake.md)"
        ) from None
    written: dict[str, bytes] = {}
    for model in sorted(pc.unique(folded.table.column("model")).to_pylist()):
        own = folded.table.filter(pc.field("model") == model).select(SCHEMA.names)
        content = _parquet(own)
        digest = hashlib.sha256(content).hexdigest()[:16]
        written[f"{Partition(day, model).prefix}compacted-{digest}{SUFFIX}"] = content
    if not dry_run:
        for key, content in written.items():
            if key not in sizes:
                _put(s3, bucket, key, content)
        _delete(s3, bucket, [key for key in sizes if key not in written])
    return Compacted(
        day=day.isoformat() if day else "unknown",
        files_before=len(sizes),
        files_after=len(written),
        bytes_before=sum(sizes.values()),
        bytes_after=sum(map(len, written.values())),
        readings=folded.table.num_rows,
        duplicates=folded.duplicates,
        conflicts=folded.conflicts,
    )


def _files(s3: "S3Client", bucket: str, prefix: str) -> Iterator[tuple[str, int]]:
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        yield from ((entry["Key"], entry["Size"]) for entry in page.get("Contents", []) if partition_of(entry["Key"]))


def _parquet(table: "pa.Table") -> bytes:
    content = BytesIO()
    pq.write_table(table, content, compression="zstd", store_schema=False)
    return content.getvalue()


def _put(s3: "S3Client", bucket: str, key: str, content: bytes) -> None:
    try:
        s3.put_object(
            Bucket=bucket, Key=key, Body=content, ContentType="application/vnd.apache.parquet", IfNoneMatch="*"
        )
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != EXISTS:
            raise


def _delete(s3: "S3Client", bucket: str, keys: list[str]) -> None:
    for start in range(0, len(keys), DELETED_AT_ONCE):
        part = keys[start : start + DELETED_AT_ONCE]
        answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in part], "Quiet": True})
        if errors := answer.get("Errors"):
            raise UnfinishedError(
                f"s3://{bucket}: {len(errors)} old files were not deleted, the first {errors[0].get('Key')}: "
                f"{errors[0].get('Message')}; nothing is lost or counted twice by readers that fold; run this again"
            )
