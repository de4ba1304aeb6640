"""The batch format: what goes in comes out, golden bytes hold, and nothing hostile gets past the decoder.

Golden bytes stand in tests/protocol/test_vectors.py.
"""

import random
import tracemalloc
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import cbor2
import pytest
import zstandard
from hypothesis import given, settings

import protocol
from protocol.measurement import UPTIME_ORIGIN, Batch, ClockQuality, Reading, Row, moment_of_uptime, uptime_of_moment
from protocol.senml import BASE_NAME, BASE_TIME, MAX_REASON_CHARACTERS, NAME, UNIT, VALUE
from protocol.telemetry import MAX_BODY_BYTES, BatchRefusedError, decode_batch, encode_batch
from tests.protocol.sample_batches import START, batch_of, batches, envelope_of, frame

VECTORS = Path(protocol.__file__).parent / "vectors"
MUTATIONS = 5_000


@given(batches())
@settings(deadline=None)
def test_what_goes_in_comes_out(batch: Batch) -> None:
    assert decode_batch(encode_batch(batch)) == batch


def test_a_reading_costs_less_than_three_bytes_at_sixty_rows() -> None:
    batch = batch_of(60)
    assert len(encode_batch(batch)) / batch.measurements < 3.0, "a naive JSON reading is 94.8 bytes"


def with_label(label: int, value: Any) -> Callable[[], bytes]:
    def make() -> bytes:
        return cbor2.dumps({**envelope_of(batch_of(2)), label: value})

    return make


def with_body(records: Any) -> Callable[[], bytes]:
    return with_label(8, frame(cbor2.dumps(records)))


ROW = {BASE_NAME: "device1/", BASE_TIME: 1_763_812_800, NAME: "t", UNIT: "Cel", VALUE: 21}
SECOND = {key: value for key, value in ROW.items() if key != BASE_NAME}


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: b"", "not CBOR"),
        (lambda: b"\xff", "not CBOR"),
        (lambda: cbor2.dumps([1]), "not a batch of version 1"),
        (lambda: b"\x00" * (128 * 1024 + 1), "a message holds 131072"),
        (lambda: encode_batch(batch_of(2)) + b"\x00", "something behind"),
        (with_label(0, 2), "not a batch of version 1"),
        (with_label(0, value=True), "not a batch of version 1"),
        (with_label(0, cbor2.CBORSimpleValue(1)), "not a batch of version 1"),
        (with_label(9, "more"), "not exactly the labels 0 to 8"),
        (with_label(1, "Device_1"), "capitals"),
        (with_label(1, 7), "the device is not a text"),
        (with_label(2, -1), "the epoch is not an unsigned integer"),
        (with_label(2, 2**63), "the epoch is not an unsigned integer"),
        (with_label(3, value=True), "the first sequence is not an unsigned integer"),
        (with_label(4, 40), "is not 1 to 100000 rows"),
        (with_label(4, 43), "2 rows for sequence 41 to 43"),
        (with_label(5, ""), "the firmware is not a text"),
        (with_label(6, 1.5), "the boot count is not an unsigned integer"),
        (with_label(7, 9), "an unknown clock quality"),
        (with_label(8, "text"), "the rows are not bytes"),
        (with_label(8, b"not zstd"), "not one zstd frame"),
        (with_label(8, frame(b"\x80", write_checksum=False)), "carry no checksum"),
        (with_label(8, frame(b"\x80", write_content_size=False)), "do not state a size"),
        (with_label(8, frame(b"\x00" * (MAX_BODY_BYTES + 1))), "do not state a size of 1 to"),
        (with_label(8, frame(cbor2.dumps([ROW, SECOND])) + b"\x00"), "not exactly one zstd frame"),
        (with_label(8, frame(cbor2.dumps([ROW, SECOND]))[:-1]), "not exactly one zstd frame"),
        (with_body({}), "not a list of SenML records"),
        (with_body([ROW, 1]), "a record is not a map"),
        (with_body([SECOND, SECOND]), "the base name is None"),
        (with_body([{**ROW, BASE_NAME: "device2/"}, SECOND]), "the base name is 'device2/'"),
        (with_body([ROW, ROW]), "stated twice"),
        (with_body([{k: v for k, v in ROW.items() if k != BASE_TIME}, SECOND]), "no base time"),
        (with_body([{**ROW, BASE_TIME: 0}, SECOND]), "a time relative to now"),
        (with_body([{**ROW, BASE_TIME: 10**15}, SECOND]), "beyond the calendar"),
        (with_body([{**ROW, VALUE: float("nan")}, SECOND]), "not finite"),
        (with_body([{**ROW, VALUE: float("inf")}, SECOND]), "not finite"),
        (with_body([{**ROW, VALUE: True}, SECOND]), "not a number"),
        (with_body([{**ROW, VALUE: Decimal("1E+400")}, SECOND]), "more than 34 digits"),
        (with_body([{**ROW, VALUE: "21"}, SECOND]), "not a number"),
        (with_body([{**ROW, UNIT: ""}, SECOND]), "a unit is not a text"),
        (with_body([{**ROW, NAME: "c" * 65}, SECOND]), "a channel is not a text"),
        (with_body([{**ROW, 99: 1}, SECOND]), "not those of a reading"),
        (with_body([{**ROW, VALUE: 2**70}, SECOND]), "a tag other than the decimal fraction"),
        (with_body([{**ROW, VALUE: cbor2.CBORTag(1, 5)}, SECOND]), "a tag other than the decimal fraction"),
        (with_body([{**ROW, VALUE: cbor2.CBORTag(99_999, 5)}, SECOND]), "a tag other than the decimal fraction"),
    ],
)
def test_what_is_no_batch_is_refused_with_its_reason(make: Callable[[], bytes], reason: str) -> None:
    with pytest.raises(BatchRefusedError, match=reason):
        decode_batch(make())


@pytest.mark.parametrize("value", [Decimal("NaN"), Decimal("Infinity"), Decimal("1." + "1" * 40)])
def test_a_value_no_sensor_gives_is_not_even_encoded(value: Decimal) -> None:
    batch = batch_of(1)
    bad = Row(41, START, (Reading("t", value, "Cel"),))
    with pytest.raises(BatchRefusedError):
        encode_batch(Batch(**{**vars(batch), "rows": (bad,)}))


def test_a_gap_in_the_sequence_is_not_encoded() -> None:
    batch = batch_of(3)
    with pytest.raises(BatchRefusedError, match="not consecutive"):
        encode_batch(Batch(**{**vars(batch), "rows": (batch.rows[0], batch.rows[2])}))


def test_a_frame_that_holds_more_than_it_states_costs_no_memory() -> None:
    bomb = bytearray(frame(b"\x00" * (MAX_BODY_BYTES * 64)))
    # Single-segment frames state their size in the bytes behind magic and descriptor (RFC 8878, section 3.1.1.1).
    assert zstandard.get_frame_parameters(bytes(bomb)).content_size == MAX_BODY_BYTES * 64
    position = bytes(bomb).index((MAX_BODY_BYTES * 64).to_bytes(4, "little"))
    bomb[position : position + 4] = MAX_BODY_BYTES.to_bytes(4, "little")
    wire = cbor2.dumps({**envelope_of(batch_of(2)), 8: bytes(bomb)})
    tracemalloc.start()
    try:
        with pytest.raises(BatchRefusedError):
            decode_batch(wire)
        _now, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < MAX_BODY_BYTES * 4, "256 MiB of zeros must not be unpacked"


def test_no_mutation_of_a_batch_gets_anything_but_a_refusal_or_a_batch() -> None:
    wire = encode_batch(batch_of(20))
    choose = random.Random(11)  # noqa: S311 - repeatable mutations, no secret
    refused = 0
    for _ in range(MUTATIONS):
        mutated = bytearray(wire)
        for _ in range(choose.randint(1, 4)):
            mutated[choose.randrange(len(mutated))] = choose.randrange(256)
        try:
            decode_batch(bytes(mutated[: choose.randint(1, len(mutated))] if choose.random() < 0.2 else mutated))
        except BatchRefusedError:
            refused += 1
    assert refused > MUTATIONS * 0.7, "most mutations hit the checksummed rows"


def test_a_device_without_a_clock_says_its_uptime_and_no_moment() -> None:
    uptime = timedelta(hours=3, milliseconds=250)
    row = Row(41, moment_of_uptime(uptime), (Reading("t", Decimal(21), "Cel"),))
    batch = Batch(**{**vars(batch_of(1)), "clock": ClockQuality.UNKNOWN, "rows": (row,)})
    assert uptime_of_moment(decode_batch(encode_batch(batch)).rows[0].time) == uptime


def test_a_time_before_the_first_absolute_one_is_not_even_encoded() -> None:
    row = Row(41, UPTIME_ORIGIN - timedelta(milliseconds=1), (Reading("t", Decimal(21), "Cel"),))
    with pytest.raises(BatchRefusedError, match="relative to now"):
        encode_batch(Batch(**{**vars(batch_of(1)), "rows": (row,)}))


def test_a_channel_stated_twice_in_a_row_is_neither_encoded_nor_decoded() -> None:
    twice = (Reading("t", Decimal(21), "Cel"), Reading("t", Decimal(22), "Cel"))
    with pytest.raises(BatchRefusedError, match="a channel twice"):
        encode_batch(Batch(**{**vars(batch_of(1)), "rows": (Row(41, START, twice),)}))
    again = {key: value for key, value in ROW.items() if key not in {BASE_NAME, BASE_TIME}}
    with pytest.raises(BatchRefusedError, match="a channel twice"):
        decode_batch(with_body([ROW, again, SECOND])())


def test_a_value_keeps_every_digit_up_to_what_cbor_holds() -> None:
    exact = Decimal("-1.844674407370955161")
    row = Row(41, START, (Reading("t", exact, "Cel"),))
    assert decode_batch(encode_batch(Batch(**{**vars(batch_of(1)), "rows": (row,)}))).rows[0].readings[0].value == exact
    with pytest.raises(BatchRefusedError, match="more than 64 bits"):
        encode_batch(
            Batch(**{**vars(batch_of(1)), "rows": (Row(41, START, (Reading("t", Decimal("1e19") / 3, "Cel"),)),)})
        )


def test_a_list_that_announces_too_many_readings_is_not_read() -> None:
    with pytest.raises(BatchRefusedError, match="at most 200000"):
        decode_batch(with_label(8, frame(b"\x9a" + (200_001).to_bytes(4, "big") + b"\x00" * 200_001))())


def test_a_reason_stays_short_whatever_it_quotes() -> None:
    with pytest.raises(BatchRefusedError) as caught:
        decode_batch(with_body([{**ROW, **dict.fromkeys(range(100, 10_000), 1)}, SECOND])())
    assert "not those" not in str(caught.value)
    assert len(str(caught.value)) == MAX_REASON_CHARACTERS
