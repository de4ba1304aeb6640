"""Batches as columns: the short way over the bytes and the walk over records never disagree."""

import random
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import columns as module
from protocol.columns import Coded, Columns, columns_of, decode_columns
from protocol.measurement import Batch, Reading, Row
from protocol.senml import BASE_NAME, BASE_TIME, NAME, UNIT, VALUE, BatchRefusedError, decode_rows, encode_rows
from protocol.telemetry import decode_batch, decode_batch_columns, encode_batch
from tests.protocol.sample_batches import START, batch_of, batches

MUTATIONS = 20_000


def spread(column: Coded[Any]) -> list[Any]:
    return [column.values[code] for code in column.codes]


def outcome(columns: Columns) -> tuple[Any, ...]:
    """What the columns say, however they are coded; a value with all the digits it was sent with."""
    amounts = [str(value) for value in spread(columns.amounts)]
    return columns.times, columns.counts, spread(columns.labels), amounts


def walked(body: bytes) -> tuple[Any, ...] | str:
    try:
        return outcome(columns_of(decode_rows(batch_of(1).device, 0, body)))
    except BatchRefusedError as error:
        return str(error)


def taken(body: bytes) -> tuple[Any, ...] | str:
    try:
        return outcome(decode_columns(batch_of(1).device, body))
    except BatchRefusedError as error:
        return str(error)


@given(batches())
@settings(deadline=None)
def test_columns_say_what_the_rows_say(batch: Batch) -> None:
    wire = encode_batch(batch)
    envelope, columns = decode_batch_columns(wire)
    assert outcome(columns) == outcome(columns_of(decode_batch(wire).rows))
    assert (envelope.device, envelope.first, envelope.last) == (batch.device, batch.first, batch.last)


def test_the_usual_layout_is_read_without_the_walk(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = batch_of(60)
    body = encode_rows(batch.device, batch.rows)
    expected = walked(body)
    monkeypatch.setattr(module, "decode_rows", None)
    assert taken(body) == expected, "a walk would have failed: this shows that none took place"


def mutations(body: bytes, count: int) -> Iterator[bytes]:
    choose = random.Random(5)  # noqa: S311 - repeatable mutations, no secret
    for _ in range(count):
        mutated = bytearray(body)
        for _ in range(choose.randint(1, 3)):
            at = choose.randrange(len(mutated))
            match choose.randrange(3):
                case 0:
                    mutated[at] = choose.randrange(256)
                case 1:
                    mutated[at] ^= 1 << choose.randrange(8)
                case _:
                    end = at + choose.randrange(1, 12)
                    mutated[at:end] = mutated[at:end] * choose.randrange(3)
        yield bytes(mutated)


@pytest.mark.parametrize("rows", [1, 3])
def test_no_mutation_makes_the_short_way_disagree_with_the_walk(rows: int) -> None:
    batch = batch_of(rows)
    outcomes = set()
    for body in mutations(encode_rows(batch.device, batch.rows), MUTATIONS):
        expected = walked(body)
        assert taken(body) == expected, body.hex()
        outcomes.add(isinstance(expected, str))
    assert outcomes == {True, False}, "some are refused and some are read, or the mutations show nothing"


ROW = {BASE_NAME: "device1/", BASE_TIME: 1_763_812_800, NAME: "t", UNIT: "Cel", VALUE: 21}
NEXT = {NAME: "u", UNIT: "Cel", VALUE: 22}


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from([BASE_NAME, BASE_TIME, NAME, UNIT, VALUE, 7]),
            st.sampled_from(
                ["device1/", "t", "u", "", "x" * 24, "x" * 70, "é", 0, 21, 2**28, 2**40, -1, 1.5, None, True]
            ),
        ).map(lambda changes: {**ROW, **changes}),
        max_size=4,
    ),
    st.lists(st.just(NEXT), max_size=2),
)
@settings(deadline=None, max_examples=400)
def test_records_of_any_kind_are_judged_alike(records: list[dict[int, Any]], more: list[dict[int, Any]]) -> None:
    shaped = [{k: v for k, v in record.items() if index == 0 or k != BASE_NAME} for index, record in enumerate(records)]
    body = cbor2.dumps([*shaped, *more])
    assert taken(body) == walked(body)


@pytest.mark.parametrize(
    ("text", "replacement"),
    [
        (b"\x00\x61t", b"\x00\x78\x01t"),
        (b"\x02\x15", b"\x02\x18\x15"),
        (b"\x02\x15", b"\x02\xd8\x04\x82\x20\x15"),
        (b"\x02\x15", b"\x02\xc4\x82\x20\x15"),
        (b"\x02\x15", b"\x02\xf9\x4d\x40"),
        (b"\x61t", b"\x61\xff"),
        (b"\x81", b"\x98\x01"),
        (b"\x81", b"\x82"),
    ],
)
def test_other_spellings_of_the_same_are_judged_alike(text: bytes, replacement: bytes) -> None:
    body = cbor2.dumps([ROW])
    assert text in body
    changed = body.replace(text, replacement, 1)
    assert taken(changed) == walked(changed)


def test_equal_values_with_other_digits_stay_what_they_are() -> None:
    spelled = [Decimal("21.0"), Decimal(21), Decimal("21.00"), Decimal("0E-3"), Decimal(0)]
    rows = [Row(index, START, (Reading("t", value, "Cel"),)) for index, value in enumerate(spelled)]
    assert [str(value) for value in spread(columns_of(rows).amounts)] == [str(value) for value in spelled]
