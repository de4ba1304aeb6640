"""What arrived in a cluster's lake, read as anybody would: Parquet files in S3, each reading once."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import pyarrow.compute as pc

from fleet.lake.fold import Folded, fold
from fleet.lake.reading import lake_keys, read_files

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Measurement = tuple[int, datetime, str, Decimal, str]
"""Sequence number, time, channel, value, unit."""


@dataclass(frozen=True)
class Arrived:
    """A device's measurements of one epoch, each once, and the objects that hold them."""

    keys: tuple[str, ...]
    measurements: tuple[Measurement, ...]


def read_whole_lake(s3: "S3Client", bucket: str) -> Folded:
    """Every reading of every device once: an Arrow table with the columns of `protocol.lake`, in the order of keys.

    Made for a run of a thousand devices: one pass over all files, one sort.
    """
    return fold(read_files(s3, bucket, lake_keys(s3, bucket)))


def read_lake(s3: "S3Client", bucket: str, *, device: str, epoch: int) -> Arrived:
    """Everything of the device and epoch that lies in the bucket now, sorted."""
    keys = [key for key in lake_keys(s3, bucket) if _may_hold(key, device, epoch)]
    table = read_files(s3, bucket, keys)
    own = fold(table.filter((pc.field("device") == device) & (pc.field("epoch") == epoch))).table
    return Arrived(tuple(sorted(keys)), tuple(sorted(_measurements(own.to_pylist()))))


def _may_hold(key: str, device: str, epoch: int) -> bool:
    """Whether the file's name is that of a batch of the device, or of no one device."""
    name = key.rpartition("/")[2]
    return name.startswith((f"{device}-{epoch}-", "compacted-")) or "-batches-" in name


def _measurements(rows: list[dict[str, object]]) -> Iterator[Measurement]:
    for row in rows:
        sequence, time = row["sequence"], row["device_time"]
        if not isinstance(sequence, int) or not isinstance(time, datetime):
            raise TypeError(f"a line of the lake has sequence {sequence!r} and time {time!r}")
        yield sequence, time, str(row["channel"]), Decimal(str(row["exact"])), str(row["unit"])


def sent_measurements(events: list[dict[str, object]]) -> tuple[Measurement, ...]:
    """What the device said it delivered, from the events it printed, in the same form and order."""
    rows = [row for event in events if event["event"] == "acknowledged" for row in _rows(event["rows"])]
    return tuple(sorted((row[0], datetime.fromisoformat(row[1]), row[2], Decimal(row[3]), row[4]) for row in rows))


def _rows(value: object) -> list[tuple[int, str, str, str, str]]:
    if not isinstance(value, list):
        raise TypeError("the rows of an acknowledged batch are not a list")
    return [tuple(row) for row in value]
