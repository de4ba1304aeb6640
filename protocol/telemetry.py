"""The batch on the wire: a CBOR map that says whose rows it holds, around the rows themselves, compressed.

| label | field | type |
|---|---|---|
| 0 | version of this format | 1 |
| 1 | device id | text |
| 2 | epoch of the sequence numbers | unsigned |
| 3, 4 | first and last sequence number | unsigned |
| 5 | firmware version | text |
| 6 | boot count | unsigned |
| 7 | clock quality (`ClockQuality`) | unsigned |
| 8 | rows: SenML-CBOR in one zstd frame that states its size and carries a checksum | bytes |

Golden bytes stand in `protocol/vectors/`. A decoder trusts nothing: `decode_batch` refuses whatever it would have to
guess about, with the reason, before it spends memory on it.
"""

from dataclasses import dataclass
from typing import Any

import cbor2
import zstandard

from protocol.columns import Columns, decode_columns
from protocol.device_id import DeviceId, InvalidDeviceIdError, parse_device_id
from protocol.measurement import Batch, ClockQuality
from protocol.senml import BatchRefusedError, by_label, decode_cbor, decode_rows, encode_rows
from protocol.topics import MAX_PAYLOAD_BYTES

__all__ = ["BatchRefusedError", "Envelope", "decode_batch", "decode_batch_columns", "encode_batch", "open_envelope"]

VERSION = 1
COMPRESSION_LEVEL = 3
"""zstd's default; higher levels gain under 5 % on rows and cost a microcontroller dearly (measured)."""
MAX_BODY_BYTES = 4 * 1024 * 1024
"""Rows before compression. 128 KB of the densest honest rows grow to about 2 MB; more is a bomb."""
MAX_ROWS = 100_000
MAX_SEQUENCE = 2**63 - 1
"""What a signed 64-bit column holds."""
MAX_FIRMWARE_CHARACTERS = 64


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """What a batch says of itself, outside the compression; fields as in `Batch`."""

    device: DeviceId
    epoch: int
    first: int
    last: int
    firmware: str
    boot_count: int
    clock: ClockQuality


_DEVICE, _EPOCH, _FIRST, _LAST, _FIRMWARE, _BOOT_COUNT, _CLOCK, _BODY = range(1, 9)


def encode_batch(batch: Batch) -> bytes:
    """The batch on the wire; `BatchRefusedError` when it is empty, has a gap, or is larger than a message may be."""
    if not batch.rows or any(not row.readings for row in batch.rows):
        raise BatchRefusedError("a batch or a row without readings")
    if [row.sequence for row in batch.rows] != list(range(batch.first, batch.first + len(batch.rows))):
        raise BatchRefusedError("the rows of a batch are not consecutive")
    compressor = zstandard.ZstdCompressor(level=COMPRESSION_LEVEL, write_checksum=True, write_content_size=True)
    envelope = {
        0: VERSION,
        _DEVICE: batch.device,
        _EPOCH: batch.epoch,
        _FIRST: batch.first,
        _LAST: batch.last,
        _FIRMWARE: batch.firmware,
        _BOOT_COUNT: batch.boot_count,
        _CLOCK: int(batch.clock),
        _BODY: compressor.compress(encode_rows(batch.device, batch.rows)),
    }
    wire = cbor2.dumps(envelope)
    if len(wire) > MAX_PAYLOAD_BYTES:
        raise BatchRefusedError(f"{len(wire)} bytes; a message holds {MAX_PAYLOAD_BYTES}")
    return wire


def decode_batch(wire: bytes) -> Batch:
    """The batch in `wire`, row by row: the definition. `BatchRefusedError` with the reason for anything else."""
    envelope, body = open_envelope(wire)
    rows = decode_rows(envelope.device, envelope.first, body)
    _expect_rows(len(rows), envelope)
    return Batch(
        device=envelope.device,
        epoch=envelope.epoch,
        firmware=envelope.firmware,
        boot_count=envelope.boot_count,
        clock=envelope.clock,
        rows=rows,
    )


def decode_batch_columns(wire: bytes) -> tuple[Envelope, Columns]:
    """The same as columns, several times as fast; refuses what `decode_batch` refuses, with the same reasons."""
    envelope, body = open_envelope(wire)
    columns = decode_columns(envelope.device, body)
    _expect_rows(len(columns.times), envelope)
    return envelope, columns


def open_envelope(wire: bytes) -> tuple[Envelope, bytes]:
    """What the batch says of itself, and its rows unpacked and not read yet."""
    if len(wire) > MAX_PAYLOAD_BYTES:
        raise BatchRefusedError(f"{len(wire)} bytes; a message holds {MAX_PAYLOAD_BYTES}")
    item = decode_cbor(wire)
    fields = by_label(item) if isinstance(item, dict) else {}
    version = fields.get(0)
    if type(version) is not int or version != VERSION:
        raise BatchRefusedError(f"not a batch of version {VERSION}")
    if fields.keys() != set(range(9)) or len(fields) != len(item):
        raise BatchRefusedError("the envelope has not exactly the labels 0 to 8")
    first, last = _unsigned(fields, _FIRST, "first sequence"), _unsigned(fields, _LAST, "last sequence")
    if not 0 < last - first + 1 <= MAX_ROWS:
        raise BatchRefusedError(f"sequence {first} to {last} is not 1 to {MAX_ROWS} rows")
    try:
        device = parse_device_id(_text(fields, _DEVICE, "device"))
        clock = ClockQuality(_unsigned(fields, _CLOCK, "clock quality"))
    except InvalidDeviceIdError as error:
        raise BatchRefusedError(str(error)) from error
    except ValueError as error:
        raise BatchRefusedError("an unknown clock quality") from error
    envelope = Envelope(
        device=device,
        epoch=_unsigned(fields, _EPOCH, "epoch"),
        first=first,
        last=last,
        firmware=_text(fields, _FIRMWARE, "firmware"),
        boot_count=_unsigned(fields, _BOOT_COUNT, "boot count"),
        clock=clock,
    )
    return envelope, _decompress(fields[_BODY])


def _expect_rows(count: int, envelope: Envelope) -> None:
    if count != envelope.last - envelope.first + 1:
        raise BatchRefusedError(f"{count} rows for sequence {envelope.first} to {envelope.last}")


def _decompress(body: Any) -> bytes:
    """One whole frame. The size it states is checked first, and then never exceeded."""
    if not isinstance(body, bytes):
        raise BatchRefusedError("the rows are not bytes")
    try:
        frame = zstandard.get_frame_parameters(body)
        if not frame.has_checksum:
            raise BatchRefusedError("the rows carry no checksum")
        if not 0 < frame.content_size <= MAX_BODY_BYTES or frame.dict_id:
            raise BatchRefusedError(f"the rows do not state a size of 1 to {MAX_BODY_BYTES} bytes")
        decompressor = zstandard.ZstdDecompressor(max_window_size=MAX_BODY_BYTES)
        # A frame may hold more than it states: read no further than that, before the whole is taken at its word.
        if len(decompressor.stream_reader(body).read(frame.content_size + 1)) != frame.content_size:
            raise BatchRefusedError("the rows are not of the size they state")
        inflater = decompressor.decompressobj()
        inflated = inflater.decompress(body)
    except zstandard.ZstdError as error:
        raise BatchRefusedError(f"the rows are not one zstd frame: {error}") from error
    if not inflater.eof or inflater.unused_data:
        raise BatchRefusedError("the rows are not exactly one zstd frame")
    return inflated


def _unsigned(envelope: dict[Any, Any], label: int, name: str) -> int:
    value = envelope[label]
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_SEQUENCE:
        raise BatchRefusedError(f"the {name} is not an unsigned integer below 2^63")
    return value


def _text(envelope: dict[Any, Any], label: int, name: str) -> str:
    value = envelope[label]
    if not isinstance(value, str) or not 0 < len(value) <= MAX_FIRMWARE_CHARACTERS:
        raise BatchRefusedError(f"the {name} is not a text of 1 to {MAX_FIRMWARE_CHARACTERS} characters")
    return value
