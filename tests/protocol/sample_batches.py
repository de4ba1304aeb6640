"""Batches for tests: plausible ones, arbitrary ones, and the parts hostile ones are put together from."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import cbor2
import zstandard
from hypothesis import strategies as st

from protocol.device_id import DeviceId, parse_device_id
from protocol.measurement import Batch, ClockQuality, Reading, Row
from protocol.telemetry import encode_batch

START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def batch_of(count: int, *, device: str = "device1") -> Batch:
    """Five channels once a second, as a plausible sensor gives them."""
    noise = random.Random(7)  # noqa: S311 - a repeatable stream, no secret
    rows = tuple(
        Row(
            41 + index,
            START + timedelta(seconds=index),
            (
                Reading("temperature", Decimal(215 + noise.randint(-3, 3)) / 10, "Cel"),
                Reading("humidity", Decimal(480 + noise.randint(-9, 9)) / 10, "%RH"),
                Reading("pressure", Decimal(101_325 + noise.randint(-40, 40)), "Pa"),
                Reading("voltage", Decimal(3_700 - index // 9) / 1000, "V"),
                Reading("signal", Decimal(-87 + noise.randint(-4, 4)), "dBm"),
            ),
        )
        for index in range(count)
    )
    return Batch(
        device=parse_device_id(device),
        epoch=3,
        firmware="1.4.2",
        boot_count=12,
        clock=ClockQuality.SYNCHRONIZED,
        rows=rows,
    )


def envelope_of(batch: Batch) -> dict[int, Any]:
    envelope: dict[int, Any] = cbor2.loads(encode_batch(batch))
    return envelope


def frame(body: bytes, **options: Any) -> bytes:
    return zstandard.ZstdCompressor(level=3, **{"write_checksum": True, **options}).compress(body)


values = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12, places=6)
readings = st.builds(Reading, st.text(min_size=1, max_size=64), values, st.text(min_size=1, max_size=16))
moments = st.datetimes(datetime(2000, 1, 1), datetime(2199, 1, 1)).map(  # noqa: DTZ001 - the zone is added here
    lambda naive: naive.replace(microsecond=naive.microsecond // 1000 * 1000, tzinfo=UTC)
)


@st.composite
def batches(draw: Callable[..., Any]) -> Batch:
    first = draw(st.integers(0, 2**62))
    row = st.lists(readings, min_size=1, max_size=4, unique_by=lambda reading: reading.channel)
    contents = draw(st.lists(st.tuples(moments, row), min_size=1, max_size=8))
    return Batch(
        device=DeviceId(draw(st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True))),
        epoch=draw(st.integers(0, 2**63 - 1)),
        firmware=draw(st.text(min_size=1, max_size=64)),
        boot_count=draw(st.integers(0, 2**32)),
        clock=draw(st.sampled_from(ClockQuality)),
        rows=tuple(Row(first + index, time, tuple(row)) for index, (time, row) in enumerate(contents)),
    )
