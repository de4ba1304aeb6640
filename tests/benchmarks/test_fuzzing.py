"""A share of the million cases of `make fuzz`, every time; and that the fuzz would notice what it looks for."""

import pytest

from benchmarks import fuzzing
from benchmarks.batches import reference_batch
from benchmarks.fuzzing import SEED, DisagreementError, fuzz, fuzz_in_bounds, judge, store
from protocol.columns import Coded
from protocol.telemetry import decode_batch, decode_batch_columns, encode_batch

SHARE = 25_000
MOST_GROWTH_BYTES = 256 * 1024**2


def test_hostile_batches_are_refused_with_a_reason_or_read_as_the_strict_decoder_reads_them() -> None:
    tally, grown = fuzz_in_bounds(SHARE, SEED)
    assert tally.cases == SHARE
    assert tally.read > SHARE / 20, "many cases get through to the rows"
    assert tally.stored > 50
    assert len(tally.refused) > 30, "and the others are refused for many reasons"
    assert grown < MOST_GROWTH_BYTES


def test_the_same_seed_gives_the_same_cases() -> None:
    assert fuzz(200) == fuzz(200)
    assert fuzz(200, seed=1) != fuzz(200)


def test_a_fast_decoder_that_reads_another_value_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(wire: bytes) -> object:
        envelope, columns = decode_batch_columns(wire)
        object.__setattr__(columns, "amounts", Coded(columns.amounts.values[::-1], columns.amounts.codes))
        return envelope, columns

    monkeypatch.setattr(fuzzing, "decode_batch_columns", wrong)
    with pytest.raises(DisagreementError):
        judge(encode_batch(reference_batch(2)))


def test_a_file_that_holds_fewer_readings_than_the_batch_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    wire = encode_batch(reference_batch(2))
    store(wire, decode_batch(wire))
    monkeypatch.setattr(fuzzing, "lake_files", lambda _deliveries, _models: [])
    with pytest.raises(DisagreementError, match="stored otherwise"):
        store(wire, decode_batch(wire))
