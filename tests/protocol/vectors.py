"""The golden vectors: batches with their meaning, and hostile bytes with the reason they are refused for.

Written again with `REGENERATE=1 pytest tests/protocol/test_vectors.py`; a change of them is a change of the contract
with every device in the field, and with every decoder in another language.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import cbor2

import protocol
from protocol.measurement import Batch, ClockQuality, Reading, Row, moment_of_uptime
from protocol.senml import BASE_NAME, BASE_TIME, NAME, UNIT, VALUE
from protocol.telemetry import MAX_BODY_BYTES, encode_batch
from tests.protocol.sample_batches import batch_of, envelope_of, frame

VECTORS = Path(protocol.__file__).parent / "vectors"
HOSTILE = VECTORS / "hostile"

ROW = {BASE_NAME: "device1/", BASE_TIME: 1_763_812_800, NAME: "t", UNIT: "Cel", VALUE: 21}
NEXT = {BASE_TIME: 1_763_812_801, NAME: "t", UNIT: "Cel", VALUE: 22}
WITHIN = {NAME: "u", UNIT: "Cel", VALUE: 23}


def uptime_batch() -> Batch:
    """A device that never had a clock: three rows, from its second minute on."""
    rows = tuple(
        Row(index, moment_of_uptime(timedelta(minutes=1, milliseconds=250 * index)), batch_of(1).rows[0].readings[:1])
        for index in range(3)
    )
    return replace(batch_of(1), clock=ClockQuality.UNKNOWN, rows=rows)


def extreme_batch() -> Batch:
    """What the format just holds: long names, 64-bit numbers, many digits, the last millisecond."""
    readings = (
        Reading("c" * 64, Decimal(2**64 - 1), "u" * 16),
        Reading("négatif", Decimal(-(2**64)), "°C"),
        Reading("small", Decimal("-0.000000000000000000000000000000001"), "/"),
        Reading("digits", Decimal("1.844674407370955161"), "1"),
        Reading("round", Decimal("12E+18"), "1"),
        Reading("nothing", Decimal("0.000"), "1"),
    )
    last = datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)
    row = Row(2**63 - 1, last, readings)
    return replace(batch_of(1), epoch=2**63 - 1, boot_count=0, firmware="f" * 64, rows=(row,))


def foreign_wire() -> bytes:
    """A batch of another encoder: floats, longer spellings, labels in another order; fit to be read."""
    records = [
        {VALUE: 21.5, UNIT: "Cel", NAME: "t", BASE_TIME: 1_763_812_800.25, BASE_NAME: "device1/"},
        {**WITHIN, VALUE: 1e-7},
        {**NEXT, BASE_TIME: 1_763_812_801, VALUE: Decimal("22.50")},
    ]
    body = cbor2.dumps(records).replace(b"\x61u", b"\x78\x01u")
    return cbor2.dumps({**envelope_of(batch_of(2)), 8: frame(body)})


GOOD: dict[str, Callable[[], bytes]] = {
    "batch-1": lambda: encode_batch(batch_of(1)),
    "batch-60": lambda: encode_batch(batch_of(60)),
    "batch-uptime": lambda: encode_batch(uptime_batch()),
    "batch-extreme": lambda: encode_batch(extreme_batch()),
    "batch-foreign": foreign_wire,
}
NOT_OURS = frozenset({"batch-foreign"})
"""Vectors that our own encoder would write otherwise."""


def _with(label: int, value: Any) -> Callable[[], bytes]:
    return lambda: cbor2.dumps({**envelope_of(batch_of(2)), label: value})


def _relabelled(spell: Callable[[int], Any]) -> Callable[[], bytes]:
    return lambda: cbor2.dumps({spell(label): value for label, value in envelope_of(batch_of(2)).items()})


def _body(records: Any) -> Callable[[], bytes]:
    return _raw(lambda: cbor2.dumps(records))


def _raw(body: Callable[[], bytes]) -> Callable[[], bytes]:
    return _with(8, frame(body()))


def _bomb() -> bytes:
    """A frame of 256 MiB of zeros that states 4."""
    bomb = bytearray(frame(b"\x00" * (MAX_BODY_BYTES * 64)))
    position = bytes(bomb).index((MAX_BODY_BYTES * 64).to_bytes(4, "little"))
    bomb[position : position + 4] = MAX_BODY_BYTES.to_bytes(4, "little")
    return _with(8, bytes(bomb))()


def _flipped() -> bytes:
    """One bit of the compressed rows turned over, where zstd itself notices nothing."""
    body = bytearray(envelope_of(batch_of(2))[8])
    body[-1] ^= 1
    return _with(8, bytes(body))()


HOSTILE_VECTORS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "empty": ("not-cbor", lambda: b""),
    "cut-short": ("not-cbor", lambda: encode_batch(batch_of(2))[:-1]),
    "too-large": ("too-large", lambda: b"\x00" * (128 * 1024 + 1)),
    "trailing-bytes": ("trailing-bytes", lambda: encode_batch(batch_of(2)) + b"\x00"),
    "indefinite-length": ("not-cbor", lambda: b"\xbf\x00\x01\xff"),
    "duplicate-label": ("not-cbor", lambda: b"\xa2\x00\x01\x00\x01"),
    "no-map": ("version", lambda: cbor2.dumps([1])),
    "version-2": ("version", _with(0, 2)),
    "version-true": ("version", _with(0, value=True)),
    "version-float": ("version", _with(0, 1.0)),
    "version-decimal": ("version", _with(0, Decimal(1))),
    "labels-boolean": ("version", _relabelled(lambda label: bool(label) if label < 2 else label)),
    "labels-float": ("version", _relabelled(float)),
    "labels-decimal": ("version", _relabelled(Decimal)),
    "label-float": ("labels", _relabelled(lambda label: 8.0 if label == 8 else label)),
    "label-more": ("labels", _with(9, "more")),
    "device-in-capitals": ("device", _with(1, "Device_1")),
    "epoch-negative": ("unsigned", _with(2, -1)),
    "epoch-too-large": ("unsigned", _with(2, 2**63)),
    "sequence-backwards": ("sequence", _with(4, 40)),
    "wrong-count": ("count", _with(4, 43)),
    "firmware-empty": ("text", _with(5, "")),
    "clock-unknown-number": ("clock", _with(7, 3)),
    "bomb": ("not-a-frame", _bomb),
    "bomb-stated": ("size", _with(8, frame(b"\x00" * (MAX_BODY_BYTES + 1)))),
    "no-size": ("size", _with(8, frame(b"\x80", write_content_size=False))),
    "no-checksum": ("no-checksum", _with(8, frame(b"\x80", write_checksum=False))),
    "bad-checksum": ("not-a-frame", _flipped),
    "behind-the-frame": ("not-a-frame", _with(8, envelope_of(batch_of(2))[8] + b"\x00")),
    "rows-no-bytes": ("not-a-frame", _with(8, "text")),
    "rows-no-list": ("not-a-list", _body({})),
    "rows-too-many": ("too-many", _raw(lambda: b"\x9a" + (200_001).to_bytes(4, "big"))),
    "record-no-map": ("record", _body([ROW, 1])),
    "record-unknown-label": ("record", _body([{**ROW, 99: 1}, NEXT])),
    "record-label-boolean": ("record", _body([{False if k == NAME else k: v for k, v in ROW.items()}, NEXT])),
    "record-label-float": ("record", _body([{float(k): v for k, v in ROW.items()}, NEXT])),
    "base-name-missing": ("base-name", _body([NEXT, NEXT])),
    "base-name-of-another": ("base-name", _body([{**ROW, BASE_NAME: "device2/"}, NEXT])),
    "base-name-twice": ("base-name", _body([ROW, ROW])),
    "no-time": ("no-time", _body([{BASE_NAME: "device1/", **WITHIN}, NEXT])),
    "relative-time": ("relative-time", _body([{**ROW, BASE_TIME: 0}, NEXT])),
    "relative-time-last": ("relative-time", _body([{**ROW, BASE_TIME: Decimal("268435455.999")}, NEXT])),
    "beyond-the-calendar": ("beyond-the-calendar", _body([{**ROW, BASE_TIME: 253_402_300_800}, NEXT])),
    "nan": ("not-finite", _body([{**ROW, VALUE: float("nan")}, NEXT])),
    "infinity": ("not-finite", _body([{**ROW, VALUE: float("-inf")}, NEXT])),
    "value-true": ("not-a-number", _body([{**ROW, VALUE: True}, NEXT])),
    "value-text": ("not-a-number", _body([{**ROW, VALUE: "21"}, NEXT])),
    "value-too-large": ("digits", _body([{**ROW, VALUE: Decimal("1E+35")}, NEXT])),
    "value-bignum": ("tag", _body([{**ROW, VALUE: 2**70}, NEXT])),
    "tag-of-a-date": ("tag", _body([{**ROW, VALUE: cbor2.CBORTag(1, 5)}, NEXT])),
    "channel-too-long": ("channel", _body([{**ROW, NAME: "c" * 65}, NEXT])),
    "channel-no-utf-8": ("not-cbor", _raw(lambda: cbor2.dumps([ROW, NEXT]).replace(b"\x61t", b"\x61\xff", 1))),
    "channel-twice": ("channel-twice", _body([ROW, {**WITHIN, NAME: "t"}, NEXT])),
    "unit-empty": ("unit", _body([{**ROW, UNIT: ""}, NEXT])),
}
"""Name to a short code of the reason, for decoders in other languages, and the bytes."""


def spelled_out(batch: Batch) -> dict[str, Any]:
    """A batch as its vector's JSON says it: values as exact decimal text, times in milliseconds since 1970 besides."""
    return {
        "device": batch.device,
        "epoch": batch.epoch,
        "firmware": batch.firmware,
        "boot_count": batch.boot_count,
        "clock": batch.clock.name.lower(),
        "rows": [
            {
                "sequence": row.sequence,
                "time": row.time.isoformat(),
                "readings": [[reading.channel, f"{reading.value:f}", reading.unit] for reading in row.readings],
            }
            for row in batch.rows
        ],
    }
