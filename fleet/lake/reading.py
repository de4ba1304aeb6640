"""Reading the files of a lake into one table."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from fleet.lake.fold import SCHEMA
from protocol.lake import PREFIX, UNKNOWN, partition_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

AT_ONCE = 8
"""Downloads at a time: small files wait more for answers than for bytes. botocore keeps ten connections."""
PLACED = SCHEMA.append(pa.field("day", pa.string())).append(pa.field("model", pa.string()))
"""The columns of a file, and where it lay."""


def lake_keys(s3: "S3Client", bucket: str, *, prefix: str = PREFIX) -> Iterator[str]:
    """The keys of the lake's files that begin with `prefix`; what else lies there is passed over."""
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        yield from (entry["Key"] for entry in page.get("Contents", []) if partition_of(entry["Key"]))


class TooManyReadingsError(Exception):
    """The files hold more than were asked for; no more than that was unpacked."""


def read_files(s3: "S3Client", bucket: str, keys: Iterable[str], *, most: int | None = None) -> pa.Table:
    """Everything in these files, as it lies there: copies are not folded yet. Columns `day` and `model` say where.

    `TooManyReadingsError` for more than `most` readings: what a file holds stands in its footer, and a few bytes of a
    file can be many in memory.
    """
    counted, counting = 0, Lock()

    def count(readings: int) -> None:
        nonlocal counted
        with counting:
            counted += readings
            if most is not None and counted > most:
                raise TooManyReadingsError

    def read(key: str) -> pa.Table:
        count(0)
        content = pa.BufferReader(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        # Not `read_table`, whose preparations for many files cost as much as a small one.
        file = pq.ParquetFile(content)
        count(file.metadata.num_rows)
        return place(file.read(use_threads=False), key)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return pa.concat_tables([PLACED.empty_table(), *pool.map(read, keys)])


def place(table: pa.Table, key: str) -> pa.Table:
    """A file's content with the two columns that its key says. `ValueError` for a key outside the lake."""
    partition = partition_of(key)
    if partition is None:
        raise ValueError(f"{key} is no file of the lake")
    day = partition.day.isoformat() if partition.day else UNKNOWN
    columns = [pa.repeat(text, table.num_rows) for text in (day, partition.model)]
    placed = table.append_column("day", columns[0]).append_column("model", columns[1])
    return placed.cast(PLACED)
