"""How a row lies in the buffer: a CBOR array that also says under which start, firmware and clock it was sampled.

A row may wait for weeks and leave after an update; its batch must then tell what was true when it was sampled.
`[boot count, clock quality, firmware, milliseconds since 1970, channel, unit, value, channel, unit, value, …]`
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import cbor2

from protocol.device_id import DeviceId
from protocol.measurement import UPTIME_ORIGIN, ClockQuality, Reading, Row
from protocol.senml import NAME, UNIT, VALUE, encode_rows, read_reading

_NOBODY = DeviceId("nobody")
"""Whose reading it is makes no difference."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class UnreadableRowError(Exception):
    """Bytes that no row of ours is: written by another firmware, or never meant to be one."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """What the envelope of a batch says of all its rows."""

    boot_count: int
    clock: ClockQuality
    firmware: str


def check_reading(reading: Reading) -> None:
    """`BatchRefusedError` when no batch could hold it, or a lake would refuse the batch: then it must not be stored."""
    read_reading({NAME: reading.channel, UNIT: reading.unit, VALUE: reading.value})
    encode_rows(_NOBODY, (Row(0, UPTIME_ORIGIN, (reading,)),))


def encode_row(provenance: Provenance, time: datetime, readings: tuple[Reading, ...]) -> bytes:
    """The row; `time` is aware and in whole milliseconds."""
    milliseconds = (time - _EPOCH) // timedelta(milliseconds=1)
    head = [provenance.boot_count, int(provenance.clock), provenance.firmware, milliseconds]
    return cbor2.dumps([*head, *(part for reading in readings for part in _parts(reading))])


def decode_row(stored: bytes) -> tuple[Provenance, datetime, tuple[Reading, ...]]:
    """The row in `stored`; `UnreadableRowError` when there is none."""
    try:
        boot_count, clock, firmware, milliseconds, *rest = cbor2.loads(stored)
        provenance = Provenance(int(boot_count), ClockQuality(clock), str(firmware))
        time = _EPOCH + timedelta(milliseconds=milliseconds)
        readings = tuple(
            Reading(str(channel), Decimal(value), str(unit))
            for channel, unit, value in zip(rest[::3], rest[1::3], rest[2::3], strict=True)
        )
    except (cbor2.CBORError, ValueError, TypeError, OverflowError, ArithmeticError) as error:
        raise UnreadableRowError(str(error)) from error
    if not readings:
        raise UnreadableRowError("it has no readings")
    return provenance, time, readings


def _parts(reading: Reading) -> tuple[str, str, Decimal]:
    return reading.channel, reading.unit, reading.value
