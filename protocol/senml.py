"""Rows as SenML-CBOR (RFC 8428, section 6): a list of records, each a map of small integer labels.

The first record carries the base name `<device>/`, the first of each row its base time; the others of the row inherit
both. Values are integers or decimal fractions (RFC 8949, tag 4), so that 21.5 stays 21.5. Measured: 1.8 bytes a reading
at 60 rows once compressed, half of what a time in every record costs.
"""

import struct
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal, Inexact
from io import BytesIO
from typing import Any, NoReturn

import cbor2

from protocol.device_id import DeviceId
from protocol.measurement import Reading, Row

BASE_NAME, BASE_TIME, NAME, UNIT, VALUE = -2, -3, 0, 1, 2
"""RFC 8428, table 4."""

FIRST_ABSOLUTE_SECOND = 2**28
"""RFC 8428, section 4.5.3: a smaller time is relative to the receiver's now, and thereby a silent lie."""
MAX_CHANNEL_CHARACTERS = 64
MAX_UNIT_CHARACTERS = 16
MAX_VALUE_DIGITS = 34
"""As many as IEEE 754 decimal128 holds; no sensor has more."""
MAX_NESTING = 8
"""A list of maps of decimal fractions nests four deep."""
MAX_REASON_CHARACTERS = 200
"""A reason goes into logs and dead letters; hostile bytes must not fill them."""
MAX_READINGS = 200_000
"""128 KB of honest rows hold about 130,000 (measured: 1 byte a reading at best); more would only fill memory."""

_DECIMAL_FRACTION = 4
_BUILT_IN_TAGS = (0, 1, 2, 3, 5, 25, 28, 29, 30, 35, 36, 37, 52, 54, 100, 256, 258, 260, 261, 1004, 43000, 55799)
"""Every tag `cbor2` decodes by itself, but the decimal fraction."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
RELATIVE_TIME = "a time relative to now"
NOT_FINITE = "a value is not finite"
TOO_MANY_DIGITS = f"a value has more than {MAX_VALUE_DIGITS} digits"
CHANNEL_TWICE = "a row states a channel twice, and (device, epoch, sequence, channel) must name one reading"


class BatchRefusedError(Exception):
    """Bytes that are not a batch, with the reason: short, whatever of the bytes it quotes."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason if len(reason) <= MAX_REASON_CHARACTERS else f"{reason[: MAX_REASON_CHARACTERS - 1]}…")


def encode_rows(device: DeviceId, rows: tuple[Row, ...]) -> bytes:
    """The rows as SenML-CBOR; times must be UTC and whole milliseconds."""
    labels: dict[tuple[str, str], bytes] = {}
    numbers: dict[Decimal, bytes] = {}
    pieces = [list_head(sum(len(row.readings) for row in rows))]
    head = _map(5) + _integer(BASE_NAME) + cbor2.dumps(f"{device}/") + _integer(BASE_TIME)
    for row in rows:
        if len({reading.channel for reading in row.readings}) != len(row.readings):
            raise BatchRefusedError(CHANNEL_TWICE)
        milliseconds = since_epoch(row.time)
        if milliseconds < FIRST_ABSOLUTE_SECOND * 1000:
            raise BatchRefusedError(RELATIVE_TIME)
        head += _number(Decimal(milliseconds).scaleb(-3))
        for reading in row.readings:
            named, value = (reading.channel, reading.unit), reading.value
            label = labels.get(named) or labels.setdefault(named, _label(*named))
            if not value.is_finite():
                raise BatchRefusedError(NOT_FINITE)
            pieces += (head, label, numbers.get(value) or numbers.setdefault(value, _number(value)))
            head = _WITHIN_ROW
        head = _ROW_HEAD
    return b"".join(pieces)


def decode_rows(device: DeviceId, first_sequence: int, encoded: bytes) -> tuple[Row, ...]:
    """The rows in `encoded`, numbered from `first_sequence`; `BatchRefusedError` with the reason."""
    stated_length(encoded)
    records = decode_cbor(encoded)
    times: list[datetime] = []
    readings: list[list[Reading]] = []
    for record in _records(records):
        if not times and record.get(BASE_NAME) != f"{device}/":
            raise BatchRefusedError(f"the base name is {record.get(BASE_NAME)!r}, expected '{device}/'")
        if times and BASE_NAME in record:
            raise BatchRefusedError("the base name is stated twice")
        if BASE_TIME in record:
            times.append(read_time(record[BASE_TIME]))
            readings.append([])
        elif not times:
            raise BatchRefusedError("the first record has no base time")
        readings[-1].append(read_reading(record))
    if any(len({reading.channel for reading in row}) != len(row) for row in readings):
        raise BatchRefusedError(CHANNEL_TWICE)
    return tuple(
        Row(first_sequence + index, time, tuple(row))
        for index, (time, row) in enumerate(zip(times, readings, strict=True))
    )


def stated_length(encoded: bytes) -> tuple[int, int]:
    """The bytes of the list's head and how many records it announces; nothing is read that announces too many."""
    kind, extra = divmod(encoded[0], 32) if encoded else (0, 0)
    size = {24: 1, 25: 2, 26: 4, 27: 8}.get(extra, 0)
    if kind != LIST or extra > 27 or len(encoded) <= size:
        raise BatchRefusedError("the body is not a list of SenML records")
    count = int.from_bytes(encoded[1 : 1 + size], "big") if size else extra
    if count > MAX_READINGS:
        raise BatchRefusedError(f"{count} records; a batch holds at most {MAX_READINGS}")
    return 1 + size, count


def decode_cbor(encoded: bytes) -> Any:
    """One CBOR item and nothing behind it, without any tag but the decimal fraction."""
    source = BytesIO(encoded)
    decoder = cbor2.CBORDecoder(
        source,
        tag_hook=_refuse_tag,
        semantic_decoders=_REFUSED_TAGS,
        max_depth=MAX_NESTING,
        allow_indefinite=False,
        allow_duplicate_keys=False,
    )
    try:
        item = decoder.decode()
    except BatchRefusedError:
        raise
    except Exception as error:
        # cbor2 wraps what a hook raises, and has no single error of its own for every malformed input.
        raise BatchRefusedError(f"not CBOR: {error.__cause__ or error}") from error
    if source.tell() != len(encoded):
        raise BatchRefusedError("something behind the CBOR item")
    return item


def by_label(fields: Mapping[Any, Any]) -> dict[int, Any]:
    """What stands under integers. Python takes `False`, `0.0` and simple value 0 for 0; the format does not."""
    return {label: value for label, value in fields.items() if type(label) is int}


def _refuse_tag(*_arguments: Any) -> NoReturn:
    raise BatchRefusedError("a tag other than the decimal fraction")


_REFUSED_TAGS: Mapping[int, Callable[..., Any]] = dict.fromkeys(_BUILT_IN_TAGS, _refuse_tag)


def _records(records: list[Any]) -> Iterator[dict[Any, Any]]:
    known = {BASE_NAME, BASE_TIME, NAME, UNIT, VALUE}
    for record in records:
        if not isinstance(record, dict):
            raise BatchRefusedError("a record is not a map")
        if not record.keys() <= known or not record.keys() >= {NAME, UNIT, VALUE} or set(map(type, record)) != {int}:
            raise BatchRefusedError(f"a record has the labels {sorted(map(str, record))}, not those of a reading")
        yield record


def read_reading(record: Mapping[int, Any]) -> Reading:
    """The reading in a record; `BatchRefusedError` with the reason."""
    channel, unit = record[NAME], record[UNIT]
    if not isinstance(channel, str) or not 0 < len(channel) <= MAX_CHANNEL_CHARACTERS:
        raise BatchRefusedError(f"a channel is not a text of 1 to {MAX_CHANNEL_CHARACTERS} characters")
    if not isinstance(unit, str) or not 0 < len(unit) <= MAX_UNIT_CHARACTERS:
        raise BatchRefusedError(f"a unit is not a text of 1 to {MAX_UNIT_CHARACTERS} characters")
    return Reading(channel, read_number(record[VALUE]), unit)


def read_time(value: Any) -> datetime:
    """The moment a base time states, which must not depend on the receiver's own clock."""
    seconds = read_number(value)
    if seconds < FIRST_ABSOLUTE_SECOND:
        raise BatchRefusedError(RELATIVE_TIME)
    try:
        return _EPOCH + timedelta(milliseconds=int(seconds * 1000))
    except OverflowError as error:
        raise BatchRefusedError("a time beyond the calendar") from error


def read_number(value: Any) -> Decimal:
    """The exact number a CBOR item states; `BatchRefusedError` for what no sensor gives."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise BatchRefusedError("a value is not a number")
    exact = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if not exact.is_finite():
        raise BatchRefusedError(NOT_FINITE)
    if len(exact.as_tuple().digits) > MAX_VALUE_DIGITS or abs(exact.adjusted()) > MAX_VALUE_DIGITS:
        raise BatchRefusedError(TOO_MANY_DIGITS)
    return exact


def since_epoch(time: datetime) -> int:
    """Whole milliseconds since 1970."""
    return (time - _EPOCH) // _MILLISECOND


UNSIGNED, NEGATIVE, TEXT, LIST, MAP, TAG = 0, 1, 3, 4, 5, 6
"""Major types (RFC 8949, section 3.1)."""
_EXACT = Context(prec=MAX_VALUE_DIGITS, traps=[Inexact])
_MILLISECOND = timedelta(milliseconds=1)
_FRACTION_HEAD = bytes([TAG * 32 + _DECIMAL_FRACTION, LIST * 32 + 2])


def list_head(count: int) -> bytes:
    """What a list of `count` items begins with."""
    return _head(LIST, count)


def _map(count: int) -> bytes:
    return _head(MAP, count)


def _label(channel: str, unit: str) -> bytes:
    """Everything of a record between what it inherits and its value."""
    return _integer(NAME) + cbor2.dumps(channel) + _integer(UNIT) + cbor2.dumps(unit) + _integer(VALUE)


def _number(value: Decimal) -> bytes:
    """The shortest CBOR of a finite value, exact; `BatchRefusedError` when it has too many digits."""
    try:
        normal = value.normalize(_EXACT)
    except Inexact:
        raise BatchRefusedError(TOO_MANY_DIGITS) from None
    if abs(normal.adjusted()) > MAX_VALUE_DIGITS:
        raise BatchRefusedError(TOO_MANY_DIGITS)
    exponent = normal.as_tuple().exponent
    if not isinstance(exponent, int) or exponent >= 0:
        return _integer(int(normal))
    return _FRACTION_HEAD + _integer(exponent) + _integer(int(normal.scaleb(-exponent, _EXACT)))


def _integer(value: int) -> bytes:
    return _head(UNSIGNED, value) if value >= 0 else _head(NEGATIVE, -1 - value)


def _head(kind: int, value: int) -> bytes:
    """A major type with its value in the fewest bytes (RFC 8949, section 4.2.1)."""
    kind *= 32
    if value < 24:
        return _SHORT_HEADS[kind + value]
    if value < 2**8:
        return struct.pack(">BB", kind + 24, value)
    if value < 2**16:
        return struct.pack(">BH", kind + 25, value)
    if value < 2**32:
        return struct.pack(">BI", kind + 26, value)
    if value < 2**64:
        return struct.pack(">BQ", kind + 27, value)
    raise BatchRefusedError("a value needs more than 64 bits")


_SHORT_HEADS = tuple(bytes([byte]) for byte in range(256))
_WITHIN_ROW = _map(3)
_ROW_HEAD = _map(4) + _integer(BASE_TIME)
