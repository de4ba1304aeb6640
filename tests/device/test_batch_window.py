from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from device.batch_window import Conditions, rows_after_refusal, rows_of_next_batch
from device.configuration import WindowWish
from protocol.batch_window import BatchWindow
from protocol.topics import MAX_PAYLOAD_BYTES

SECOND = timedelta(seconds=1)
CONTRACT = BatchWindow(freshest_seconds=60, stalest_seconds=3600, min_rows=10, max_rows=5000)
GOOD, LOSSY, DEAR = Conditions(0, 1), Conditions(0, 0.5), Conditions(1, 1)


@pytest.mark.parametrize(
    ("why", "link", "backlog", "sample_every", "bytes_a_row", "rows"),
    [
        ("a good link: as fresh as promised", GOOD, 0, SECOND, 9.0, 60),
        ("half of the sends lost: half way to the stalest", LOSSY, 0, SECOND, 9.0, 1830),
        ("the dearest link: as stale as allowed", DEAR, 0, SECOND, 9.0, 3600),
        ("dear and lossy: the worse of both, not their sum", Conditions(1, 0.5), 0, SECOND, 9.0, 3600),
        ("a backlog shorter than the window changes nothing", GOOD, 59, SECOND, 9.0, 60),
        ("a longer one is taken whole", GOOD, 700, SECOND, 9.0, 700),
        ("up to the contract's rows", GOOD, 9000, SECOND, 9.0, 5000),
        ("slow sampling: not fewer than the contract's rows", GOOD, 0, 30 * SECOND, 9.0, 10),
        ("fast sampling: more rows for the same age", GOOD, 0, SECOND / 10, 9.0, 600),
        ("what a message holds has the last word", DEAR, 9000, SECOND, 131_072 / 750, 562),
        ("even below the contract's rows", GOOD, 0, SECOND, 50_000.0, 1),
        ("a quality nobody measured well", Conditions(-1, 3), 0, SECOND, 9.0, 60),
    ],
)
def test_the_window(  # noqa: PLR0917 - a row of the table
    why: str, link: Conditions, backlog: int, sample_every: timedelta, bytes_a_row: float, rows: int
) -> None:
    found = rows_of_next_batch(CONTRACT, link, backlog=backlog, sample_every=sample_every, bytes_a_row=bytes_a_row)
    assert found == rows, why


@given(
    cost=st.floats(0, 1),
    quality=st.floats(0, 1),
    backlog=st.integers(0, 10**7),
    bytes_a_row=st.floats(0, 10**6),
    dearer=st.floats(0, 1),
    longer=st.integers(0, 10**6),
)
def test_a_dearer_link_or_a_longer_backlog_never_makes_it_smaller_and_no_message_is_overrun(  # noqa: PLR0917
    cost: float, quality: float, backlog: int, bytes_a_row: float, dearer: float, longer: int
) -> None:
    def rows(cost: float, backlog: int) -> int:
        link = Conditions(cost, quality)
        return rows_of_next_batch(CONTRACT, link, backlog=backlog, sample_every=SECOND, bytes_a_row=bytes_a_row)

    found = rows(cost, backlog)
    assert 1 <= found <= CONTRACT.max_rows
    assert found == 1 or found * bytes_a_row <= MAX_PAYLOAD_BYTES
    assert rows(min(1.0, cost + dearer), backlog) >= found
    assert rows(cost, backlog + longer) >= found


@pytest.mark.parametrize(
    ("freshest", "stalest", "least", "most"),
    [(0, 60, 1, 9), (61, 60, 1, 9), (1, 60, 0, 9), (1, 60, 10, 9), (1, 60, 1, 100_001), (1, 604_801, 1, 9)],
)
def test_a_contract_that_cannot_be_kept_is_refused(freshest: int, stalest: int, least: int, most: int) -> None:
    with pytest.raises(ValidationError):
        BatchWindow(freshest_seconds=freshest, stalest_seconds=stalest, min_rows=least, max_rows=most)


def test_a_device_works_by_what_its_model_promises_and_a_wish_narrows_it() -> None:
    assert WindowWish().within(CONTRACT) == CONTRACT
    narrower = WindowWish(freshest_seconds=120, max_rows=600).within(CONTRACT)
    assert narrower == BatchWindow(freshest_seconds=120, stalest_seconds=3600, min_rows=10, max_rows=600)


@given(
    st.builds(
        WindowWish,
        freshest_seconds=st.none() | st.floats(60, 500),
        stalest_seconds=st.none() | st.floats(500, 3600),
        min_rows=st.none() | st.integers(10, 50),
        max_rows=st.none() | st.integers(50, 5000),
    )
)
def test_a_wish_that_is_not_beyond_the_promise_always_makes_a_window(wish: WindowWish) -> None:
    assert not wish.beyond(CONTRACT)
    window = wish.within(CONTRACT)
    assert CONTRACT.freshest <= window.freshest <= window.stalest <= CONTRACT.stalest
    assert CONTRACT.min_rows <= window.min_rows <= window.max_rows <= CONTRACT.max_rows


@pytest.mark.parametrize(
    ("key", "wish"),
    [("freshest_seconds", 59.9), ("stalest_seconds", 3601.0), ("min_rows", 9), ("max_rows", 5001), ("max_rows", 9)],
)
def test_a_wish_beyond_the_promise_is_told_by_its_key(key: str, wish: float) -> None:
    assert list(WindowWish.model_validate({key: wish}).beyond(CONTRACT)) == [key]


def test_a_refused_batch_is_halved_down_to_one_row() -> None:
    assert [rows_after_refusal(rows) for rows in (100, 3, 2, 1)] == [50, 1, 1, 1]
