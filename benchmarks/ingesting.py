"""From a delivered batch to Parquet, and the lake read back folded, each against the obvious way in the same run."""

import base64
import gzip
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from io import BytesIO
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.batches import reference_batch
from benchmarks.measure import Clock, Result, compared, rate
from fleet.lake.fold import fold
from functions.delivery import read_delivery
from functions.lake_files import LakeFile, lake_files
from protocol.device_id import DeviceId
from protocol.measurement import Batch, Row
from protocol.telemetry import decode_batch, encode_batch

REPEATS = 10
STREAM_BATCHES = 2_000
"""Of 60 rows: what an invocation of Lambda holds in its 6 MB is twice that."""
RECEIVED = 1_795_392_000_000
MODELS = {"c0ffee": "fl100"}
JSON_LINES = "gzipped JSON lines of the decoded rows"


def event(batch: Batch) -> dict[str, Any]:
    """What the topic rule says of a batch."""
    payload = base64.b64encode(encode_batch(batch)).decode()
    return {"payload": payload, "device": batch.device, "received": RECEIVED, "certificate": "c0ffee"}


def fleet_events(count: int, rows: int) -> list[dict[str, Any]]:
    """Batches of as many devices, each with readings of its own."""
    plain = reference_batch(rows)
    return [event(_of_device(plain, number)) for number in range(count)]


def _of_device(batch: Batch, number: int) -> Batch:
    """The batch as another device would send it: every channel a constant away, for no two stand in the same place."""
    away = Random(number).randrange(-500, 500)  # noqa: S311 - a repeatable stream, no secret
    rows = tuple(
        Row(
            row.sequence, row.time, tuple(replace(each, value=each.value + Decimal(away) / 10) for each in row.readings)
        )
        for row in batch.rows
    )
    return replace(batch, device=DeviceId(f"device{number}"), rows=rows)


def to_parquet(events: list[dict[str, Any]]) -> list[LakeFile]:
    """As the ingest function does."""
    return lake_files([read_delivery(each) for each in events], MODELS)


def to_json_lines(events: list[dict[str, Any]]) -> bytes:
    """As anybody would."""
    lines = []
    for each in events:
        batch = decode_batch(base64.b64decode(each["payload"]))
        for row in batch.rows:
            moment = {"device": batch.device, "sequence": row.sequence, "time": row.time.isoformat()}
            for reading in row.readings:
                said = {"channel": reading.channel, "value": str(reading.value), "unit": reading.unit}
                lines.append(json.dumps(moment | said) + "\n")
    return gzip.compress("".join(lines).encode(), mtime=0)


def fold_in_python(rows: list[Mapping[str, Any]]) -> int:
    """The readings once each, by a dictionary."""
    once: dict[Any, Any] = {}
    for row in sorted(rows, key=lambda each: each["received"]):
        once.setdefault((row["device"], row["epoch"], row["sequence"], row["channel"]), row)
    return len(once)


def results(clock: Clock) -> Iterator[Result]:
    """Speed and size of ingestion by batch and by stream, and of folding."""
    for rows in (60, 600):
        events = [event(reference_batch(rows))]
        yield _speed(f"ingest, {rows} rows a batch", events, REPEATS, clock)
        yield _size(f"file, {rows} rows a batch", events)
    events = fleet_events(STREAM_BATCHES, 60)
    yield _speed(f"ingest, {STREAM_BATCHES:,} batches of a stream", events, 1, clock)
    yield _size(f"file, {STREAM_BATCHES:,} batches of a stream", events)
    table = pa.concat_tables([pq.read_table(BytesIO(file.content)) for file in to_parquet(events[:400])])
    twice = pa.concat_tables([table, table])
    rows_twice = twice.to_pylist()
    folding = rate(lambda: fold(twice).table.num_rows * 2, clock)
    plainly = rate(lambda: fold_in_python(rows_twice) * 2, clock)
    yield compared("fold, every reading twice", folding, "readings/s", limit=plainly, against="a dictionary in Python")


def _speed(name: str, events: list[dict[str, Any]], repeats: int, clock: Clock) -> Result:
    readings = sum(file.readings for file in to_parquet(events))

    def timed(work: Callable[[list[dict[str, Any]]], object]) -> Callable[[], int]:
        def run() -> int:
            for _ in range(repeats):
                work(events)
            return readings * repeats

        return run

    ours, plain = rate(timed(to_parquet), clock), rate(timed(to_json_lines), clock)
    return compared(name, ours, "measurements/s", limit=plain, against=JSON_LINES)


def _size(name: str, events: list[dict[str, Any]]) -> Result:
    files = to_parquet(events)
    readings = sum(file.readings for file in files)
    ours, plain = sum(len(file.content) for file in files) / readings, len(to_json_lines(events)) / readings
    return compared(name, ours, "bytes a measurement", limit=plain, against=JSON_LINES)
