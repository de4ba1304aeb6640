"""Batches hold what Route 53 takes, in order, and no more of them are made than the quotas ask for."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.routing.batches import Size, least_batches, pack
from fleet.routing.plan import Change
from fleet.routing.record_set import RecordSet
from fleet.routing.target import DEFAULT, Target
from fleet.routing.zone import MAX_BATCH_CHARACTERS, MAX_BATCH_RECORDS, Create, Delete
from tests.fleet.plans import CHANGES, change

EU1, US1 = Target(cluster="eu1"), Target(cluster="us1")


def wide(records: int, characters: int) -> Change:
    values = tuple("x" * characters for _ in range(records))
    return replace(change("wide"), creates=(RecordSet("wide", "TXT", 60, values),))


@given(CHANGES, st.integers(1, 10))
def test_every_change_is_in_one_batch_in_order(changes: tuple[Change, ...], largest: int) -> None:
    batches = list(pack(changes, largest=largest))
    assert [each for batch in batches for each in batch.changes] == list(changes)
    assert [batch.number for batch in batches] == list(range(len(batches)))
    assert all(1 <= len(batch.changes) <= largest for batch in batches)


@pytest.mark.parametrize(
    ("each", "per_batch"),
    [((1, 1), 1000), ((1, 32), 1000), ((1, 33), 969), ((2, 10), 500), ((3, 10), 333), ((1000, 1), 1), ((1, 32_000), 1)],
)
def test_a_batch_is_filled_to_the_nearer_of_both_limits(each: tuple[int, int], per_batch: int) -> None:
    records, characters = each
    sizes = [len(batch.changes) for batch in pack([wide(records, characters)] * (2 * per_batch))]
    assert sizes == [per_batch, per_batch]


@pytest.mark.parametrize("each", [(1001, 1), (1, 32_001)])
def test_what_fits_no_batch_is_said(each: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="fit no batch"):
        list(pack([wide(*each)]))


@given(st.lists(st.tuples(st.integers(1, 400), st.integers(1, 80)), max_size=40))
def test_no_batch_breaks_a_limit(sizes: list[tuple[int, int]]) -> None:
    for batch in pack(wide(*size) for size in sizes):
        total = sum((Size.of(each) for each in batch.changes), Size(0, 0))
        assert total.records <= MAX_BATCH_RECORDS
        assert total.characters <= MAX_BATCH_CHARACTERS


@pytest.mark.parametrize(("before", "after"), [(DEFAULT, EU1), (EU1, US1), (US1, DEFAULT)])
def test_a_plan_of_one_kind_takes_the_least_number_of_batches(before: Target, after: Target) -> None:
    changes = [change(f"d{number:05d}", before, after) for number in range(20_000)]
    assert len(list(pack(changes))) <= 1.02 * least_batches(changes)


def test_removals_come_before_what_takes_their_place() -> None:
    asked = next(iter(pack([change("a", EU1, US1), change("b", DEFAULT, EU1)]))).zone_changes
    assert [type(each) for each in asked] == [Delete, Create, Create]


def test_a_change_of_the_table_alone_asks_nothing_of_the_zone() -> None:
    same: dict[str, Any] = {"removes": (), "creates": ()}
    assert next(iter(pack([replace(change("a", EU1, EU1), **same)]))).zone_changes == ()
