"""What arrived in a cluster's lake from one device, read as anybody would: objects of JSON lines in S3."""

import gzip
import json
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Measurement = tuple[int, datetime, str, Decimal, str]
"""Sequence number, time, channel, value, unit."""


@dataclass(frozen=True)
class Arrived:
    """A device's measurements of one epoch, and the objects that hold them."""

    keys: tuple[str, ...]
    measurements: tuple[Measurement, ...]


def read_lake(s3: "S3Client", bucket: str, *, device: str, epoch: int) -> Arrived:
    """Everything of the device and epoch that lies in the bucket now, sorted."""
    found: dict[str, list[Measurement]] = {}
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="measurements/"):
        for entry in page.get("Contents", []):
            key = entry["Key"]
            if key.rpartition("/")[2].startswith(f"{device}-{epoch}-"):
                content = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
                found[key] = [_measurement(line) for line in gzip.decompress(content).splitlines()]
    return Arrived(tuple(sorted(found)), tuple(sorted(measurement for each in found.values() for measurement in each)))


def _measurement(line: bytes) -> Measurement:
    row = json.loads(line)
    return row["sequence"], datetime.fromisoformat(row["time"]), row["channel"], Decimal(row["value"]), row["unit"]


def sent_measurements(events: list[dict[str, object]]) -> tuple[Measurement, ...]:
    """What the device said it delivered, from the events it printed, in the same form and order."""
    rows = [row for event in events if event["event"] == "acknowledged" for row in _rows(event["rows"])]
    return tuple(sorted((row[0], datetime.fromisoformat(row[1]), row[2], Decimal(row[3]), row[4]) for row in rows))


def _rows(value: object) -> list[tuple[int, str, str, str, str]]:
    if not isinstance(value, list):
        raise TypeError("the rows of an acknowledged batch are not a list")
    return [tuple(row) for row in value]
