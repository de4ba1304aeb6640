"""The rows of a batch as columns: what a receiver of many batches works on, and what `protocol.senml` says row by row.

The definition of the format is the walk over records in `protocol.senml`. Bodies laid out as `encode_rows` lays them
out are recognized as a whole by one regular expression over the bytes; every distinct piece is then read by that very
walk, once, however often it stands there. Whatever does not fit goes to the walk itself, which also has the last word
on reasons. So both agree by construction, and a test holds it on random and mutated batches.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Any, Generic, TypeVar

from protocol.device_id import DeviceId
from protocol.measurement import Row
from protocol.senml import (
    BASE_NAME,
    BASE_TIME,
    BatchRefusedError,
    decode_cbor,
    decode_rows,
    list_head,
    read_number,
    read_reading,
    read_time,
    since_epoch,
    stated_length,
)

Value = TypeVar("Value")


@dataclass(frozen=True)
class Coded(Generic[Value]):
    """A column with each distinct value said once: entry `i` is `values[codes[i]]`."""

    values: tuple[Value, ...]
    codes: Sequence[int]


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Every reading of a batch, in order. `times` and `counts` have an entry a row, the others one a reading."""

    times: tuple[int, ...]
    """Milliseconds since 1970, UTC."""
    counts: tuple[int, ...]
    """How many readings the row has; at least one."""
    labels: Coded[tuple[str, str]]
    """Channel and unit."""
    amounts: Coded[Decimal]


def decode_columns(device: DeviceId, encoded: bytes) -> Columns:
    """The columns of the rows in `encoded`; `BatchRefusedError` with the reason `decode_rows` gives."""
    try:
        usual = _read_usual_layout(device, encoded)
    except BatchRefusedError:
        usual = None
    return usual or columns_of(decode_rows(device, 0, encoded))


def columns_of(rows: Sequence[Row]) -> Columns:
    """Rows turned into columns."""
    readings = [reading for row in rows for reading in row.readings]
    return Columns(
        times=tuple(since_epoch(row.time) for row in rows),
        counts=tuple(len(row.readings) for row in rows),
        labels=_coded([(reading.channel, reading.unit) for reading in readings], iter),
        # By their text: 21 and 21.0 are equal, and not what was sent.
        amounts=_coded([str(reading.value) for reading in readings], lambda distinct: map(Decimal, distinct)),
    )


_INTEGER = rb"(?:[\x00-\x17\x20-\x37]|[\x18\x38].|[\x19\x39]..|[\x1a\x3a].{4}|[\x1b\x3b].{8})"
_NUMBER = rb"(?:" + _INTEGER + rb"|\xc4\x82" + _INTEGER + _INTEGER + rb")"
_SHORT_TEXT = rb"|".join(rb"\x%02x.{%d}" % (0x60 + length, length) for length in range(1, 24))
_LONG_TEXT = rb"|".join(rb"\x78\x%02x.{%d}" % (length, length) for length in range(24, 129))
_TEXT = rb"(?:" + _SHORT_TEXT + rb"|" + _LONG_TEXT + rb")"
_HEAD = rb"\xa3|\xa4\x22" + _NUMBER + rb"|\xa5\x21" + _TEXT + rb"\x22" + _NUMBER
_RECORD = re.compile(rb"(" + _HEAD + rb")(\x00" + _TEXT + rb"\x01" + _TEXT + rb"\x02)(" + _NUMBER + rb")", re.DOTALL)
"""A record as `encode_rows` writes it (RFC 8949, section 3): what begins a row or does not, channel and unit, value."""
_WITHIN_ROW = b"\xa3"
_FIRST_HEAD, _FIRST_NAME = b"\xa5", len(b"\xa5")
_ROW_NUMBER = len(b"\xa4\x22")


def _read_usual_layout(device: DeviceId, encoded: bytes) -> Columns | None:
    """The columns, if the body is laid out as `encode_rows` does and nothing about it needs a second look."""
    header, count = stated_length(encoded)
    records = _RECORD.findall(encoded, header)
    if not records or len(records) != count:
        return None
    heads, labels, amounts = zip(*records, strict=True)
    if header + sum(map(len, heads)) + sum(map(len, labels)) + sum(map(len, amounts)) != len(encoded):
        return None
    starts = [index for index, head in enumerate(heads) if head != _WITHIN_ROW]
    if starts[:1] != [0] or heads[0][:1] != _FIRST_HEAD or any(heads[start][:1] == _FIRST_HEAD for start in starts[1:]):
        return None
    first = decode_cbor(b"\xa2" + heads[0][_FIRST_NAME:])
    if first[BASE_NAME] != f"{device}/":
        return None
    bounds = [*starts, len(records)]
    if _has_channel_twice(labels, bounds):
        return None
    times = [first[BASE_TIME], *_read_items([heads[start][_ROW_NUMBER:] for start in starts[1:]])]
    return Columns(
        times=tuple(since_epoch(read_time(time)) for time in times),
        counts=tuple(end - start for start, end in pairwise(bounds)),
        labels=_coded(labels, lambda distinct: map(_read_label, distinct)),
        amounts=_coded(amounts, lambda distinct: map(read_number, _read_items(distinct))),
    )


def _read_items(pieces: Sequence[bytes]) -> list[Any]:
    """The CBOR items that the pieces are, one each."""
    items: list[Any] = decode_cbor(list_head(len(pieces)) + b"".join(pieces))
    return items


def _has_channel_twice(labels: Sequence[bytes], bounds: Sequence[int]) -> bool:
    """Whether a row names a channel twice, with whatever units; rows with the same labels are looked at once."""
    kinds = {tuple(labels[start:end]) for start, end in pairwise(bounds)}
    return any(len({_read_label(label)[0] for label in kind}) != len(kind) for kind in kinds)


def _read_label(label: bytes) -> tuple[str, str]:
    reading = read_reading(decode_cbor(b"\xa3" + label + b"\x00"))
    return reading.channel, reading.unit


def _coded(column: Sequence[Any], read: Callable[[Sequence[Any]], Iterable[Value]]) -> Coded[Value]:
    """The column with every distinct entry read once."""
    distinct = dict.fromkeys(column)
    codes = {entry: code for code, entry in enumerate(distinct)}
    return Coded(tuple(read(tuple(distinct))), [codes[entry] for entry in column])
