"""Each reading once, however it was delivered."""

import random
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.lake.fold import fold
from protocol.lake import KEY
from tests.fleet.lake_table import START, line, table


def test_nothing_folds_to_nothing() -> None:
    folded = fold(table())
    assert (folded.table.num_rows, folded.duplicates, folded.conflicts) == (0, 0, 0)


def test_of_two_copies_the_one_received_first_stays() -> None:
    late, early = line(received=START + timedelta(hours=2)), line(received=START + timedelta(hours=1))
    folded = fold(table(late, early))
    assert folded.table.to_pylist() == [early]
    assert (folded.duplicates, folded.conflicts) == (1, 0)


@pytest.mark.parametrize("part", [{"device": "device2"}, {"epoch": 4}, {"sequence": 2}, {"channel": "u"}])
def test_what_differs_in_one_part_of_the_key_is_another_reading(part: dict[str, Any]) -> None:
    assert fold(table(line(), line(**part))).duplicates == 0


@pytest.mark.parametrize(
    "said", [{"exact": "21.6"}, {"unit": "K"}, {"device_time": START}, {"exact": "21.50"}], ids=str
)
def test_a_copy_that_says_something_else_is_a_conflict(said: dict[str, Any]) -> None:
    folded = fold(table(line(), line(received=START + timedelta(hours=2), **said), line()))
    assert folded.table.to_pylist() == [line()]
    assert (folded.duplicates, folded.conflicts) == (2, 1)


def test_a_conflict_is_counted_against_the_copy_that_stays() -> None:
    """Two late copies agree with each other, and with nobody else."""
    late = [line(received=START + timedelta(hours=hours), exact="99") for hours in (2, 3)]
    assert fold(table(*late, line())).conflicts == 2


def test_what_lies_elsewhere_and_says_the_same_is_no_conflict() -> None:
    moved = line(firmware="2.0.0", boot_count=2, clock="held", received=START + timedelta(hours=2))
    assert fold(table(line(), moved)).conflicts == 0


def test_a_backlog_cut_into_other_batches_folds_to_the_rows_that_were_sampled() -> None:
    """Batches 0-19, 20-39 were sent, and again as 10-29 and 0-39."""
    rows = [line(sequence) for sequence in range(40)]
    again = [line(sequence, received=START + timedelta(hours=5)) for sequence in (*range(10, 30), *range(40))]
    folded = fold(table(*rows, *again))
    assert folded.table.to_pylist() == rows
    assert (folded.duplicates, folded.conflicts) == (60, 0)


lines = st.builds(
    lambda sequence, channel, epoch, exact, hours: line(
        sequence, channel=channel, epoch=epoch, exact=exact, received=START + timedelta(hours=hours)
    ),
    st.integers(0, 4),
    st.sampled_from("tu"),
    st.integers(1, 2),
    st.sampled_from(["1", "2"]),
    st.integers(1, 3),
)


@given(st.lists(lines, max_size=30), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_folding_is_what_a_dictionary_would_do_in_any_order(given_lines: list[Any], choose: random.Random) -> None:
    choose.shuffle(given_lines)
    expected: dict[Any, Any] = {}
    for each in sorted(given_lines, key=lambda one: (one["received"], one["exact"])):
        expected.setdefault(tuple(each[name] for name in KEY), each)
    folded = fold(table(*given_lines))
    assert folded.table.to_pylist() == [expected[key] for key in sorted(expected)]
    assert folded.duplicates == len(given_lines) - len(expected)
    assert folded.conflicts == sum(
        each["exact"] != expected[tuple(each[name] for name in KEY)]["exact"] for each in given_lines
    )
    assert fold(folded.table).table.equals(folded.table), "folding twice is folding once"
