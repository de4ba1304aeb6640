"""The batch format against JSON: bytes on the wire, and measurements a second through encoder and decoder."""

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import islice
from typing import Any

from benchmarks.measure import ROUNDS, Clock, Result, compared, rate
from protocol.device_id import DeviceId
from protocol.measurement import Batch, ClockQuality, Reading, Row
from protocol.telemetry import decode_batch, decode_batch_columns, encode_batch

REPEATS = 30
NAIVE = "JSON, one object a measurement"


def reference_batch(rows: int) -> Batch:
    """Five channels at 1 Hz that drift with some noise; the same every time."""
    noise = random.Random(5)  # noqa: S311 - a repeatable stream, no secret
    start = datetime(2026, 1, 1, tzinfo=UTC)
    return Batch(
        device=DeviceId("device1"),
        epoch=1,
        firmware="1.0.0",
        boot_count=1,
        clock=ClockQuality.SYNCHRONIZED,
        rows=tuple(
            Row(
                index,
                start + timedelta(seconds=index),
                (
                    Reading("temperature", Decimal(210 + index // 40 + noise.randint(0, 1)) / 10, "Cel"),
                    Reading("humidity", Decimal(480 - index // 50 + noise.randint(0, 1)) / 10, "%RH"),
                    Reading("pressure", Decimal(101_325 + index // 30), "Pa"),
                    Reading("battery", Decimal(3_700 - index // 100) / 1000, "V"),
                    Reading("signal", Decimal(-85 + noise.randint(-1, 1)), "dBm"),
                ),
            )
            for index in range(rows)
        ),
    )


def naive(batch: Batch) -> list[dict[str, Any]]:
    """The same measurements as anybody would write them."""
    return [
        {
            "device": batch.device,
            "time": row.time.isoformat(),
            "channel": reading.channel,
            "value": float(reading.value),
            "unit": reading.unit,
        }
        for row in batch.rows
        for reading in row.readings
    ]


def results(clock: Clock) -> Iterator[Result]:
    """Sizes at 60 and 600 rows; speeds at 600, each against `json` on the same rows."""
    for rows in (60, 600):
        batch = reference_batch(rows)
        size = len(encode_batch(batch)) / batch.measurements
        plain = len(json.dumps(naive(batch), separators=(",", ":"))) / batch.measurements
        yield compared(f"batch size, {rows} rows", size, "bytes a measurement", limit=plain, against=NAIVE)
    batch = reference_batch(600)
    wire, text = encode_batch(batch), json.dumps(naive(batch))

    def decode() -> int:
        return sum(decode_batch(wire).measurements for _ in range(REPEATS))

    def decode_columns() -> int:
        return sum(len(decode_batch_columns(wire)[1].amounts.codes) for _ in range(REPEATS))

    fresh = iter([reference_batch(600) for _ in range(REPEATS * ROUNDS)])

    def encode() -> int:
        # Fresh rows every time: a decimal keeps its hash once it was asked for, and no device encodes a row twice.
        return sum(each.measurements for each in islice(fresh, REPEATS) if encode_batch(each))

    def dump() -> int:
        return sum(batch.measurements for _ in range(REPEATS) if json.dumps(naive(batch)))

    def load() -> int:
        return sum(len(json.loads(text)) for _ in range(REPEATS))

    unit = "measurements/s"
    yield compared("batch encode", rate(encode, clock), unit, limit=rate(dump, clock), against="json.dumps of the rows")
    loaded = rate(load, clock)
    yield compared("batch decode", rate(decode, clock), unit, limit=loaded, against="json.loads of the rows")
    columns = rate(decode_columns, clock)
    yield compared("batch decode to columns", columns, unit, limit=loaded, against="json.loads of the rows")
