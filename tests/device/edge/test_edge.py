from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from device.edge.aggregation import Statistic, Window, aggregate
from device.edge.channel import ChannelRule, ChannelState, Kept, finish, step
from device.edge.deadband import Deadband, Told, is_news
from device.edge.pressure import keep_every
from protocol.buffer_room import THINNING

START = datetime(2026, 1, 1, tzinfo=UTC)
values = st.decimals(-1000, 1000, places=2)


def at(second: float) -> datetime:
    return START + timedelta(seconds=second)


def kept(rule: ChannelRule, samples: list[tuple[float, Decimal]], fullness: float = 0.0) -> list[Kept]:
    state = ChannelState()
    out: list[Kept] = []
    for second, value in samples:
        state, now = step(rule, state, at(second), value, fullness=fullness)
        out += now
    return [*out, *finish(rule, state)]


def test_the_empty_rule_keeps_every_sample_as_it_was() -> None:
    samples = [(float(second), Decimal(second) / 10) for second in range(5)]
    assert kept(ChannelRule(), samples) == [Kept(at(second), value) for second, value in samples]


def test_a_window_becomes_its_statistics_when_it_ends_and_the_last_one_at_a_stop() -> None:
    rule = ChannelRule(window_seconds=60, statistics=tuple(Statistic))
    samples = [(0.0, Decimal("21.5")), (59.0, Decimal("21.6")), (59.9, Decimal("21.4")), (60.0, Decimal(30))]
    assert [(k.time, k.statistic, str(k.value)) for k in kept(rule, samples)] == [
        (at(59.9), "min", "21.4"),
        (at(59.9), "max", "21.6"),
        (at(59.9), "mean", "21.50"),
        (at(59.9), "last", "21.4"),
        (at(60), "min", "30"),
        (at(60), "max", "30"),
        (at(60), "mean", "30.0"),
        (at(60), "last", "30"),
    ]


@given(st.lists(st.tuples(st.integers(-500, 500), values), min_size=1, max_size=50), st.integers(1, 100))
def test_every_sample_is_in_exactly_one_window_wherever_the_clock_jumps(
    samples: list[tuple[int, Decimal]], length: int
) -> None:
    window: Window | None = None
    windows = []
    for second, value in samples:
        window, ended = aggregate(window, timedelta(seconds=length), at(second), value)
        windows += [ended] if ended else []
    assert window is not None
    windows.append(window)
    assert sum(w.count for w in windows) == len(samples)
    assert sum(w.total for w in windows) == sum(value for _, value in samples)
    assert all(w.least <= w.value(Statistic.MEAN) <= w.greatest for w in windows), "no mean beyond what was measured"


@pytest.mark.parametrize(
    ("seconds", "value", "told", "why"),
    [
        (1, "20.4", False, "less than the width"),
        (1, "20.5", True, "as much as the width"),
        (1, "19.5", True, "downwards too"),
        (899, "20.0", False, "unchanged, and not silent for long"),
        (900, "20.0", True, "silent for long enough"),
        (-1, "20.0", True, "the clock went back"),
    ],
)
def test_the_deadband(seconds: int, value: str, told: bool, why: str) -> None:
    band = Deadband(Decimal("0.5"), timedelta(minutes=15))
    assert is_news(band, Told(START, Decimal(20)), at(seconds), Decimal(value)) is told, why


@given(st.lists(values, min_size=1, max_size=100), st.decimals("0.01", 50, places=2))
def test_what_a_deadband_leaves_out_is_closer_to_what_was_told_than_its_width(
    samples: list[Decimal], width: Decimal
) -> None:
    rule = ChannelRule(deadband=width, silence_seconds=10)
    told = {k.time: k.value for k in kept(rule, [(float(i), value) for i, value in enumerate(samples)])}
    current, since = samples[0], 0
    assert at(0) in told
    for index, value in enumerate(samples):
        if at(index) in told:
            current, since = told[at(index)], index
        assert abs(value - current) < width
        assert index - since < 10, "never silent for longer than agreed"


@pytest.mark.parametrize(
    ("fullness", "every"), [(0, 1), (0.49, 1), (0.5, 2), (0.74, 2), (0.75, 4), (0.89, 4), (0.9, 8), (1, 8)]
)
def test_the_fuller_the_buffer_the_fewer_rows_are_kept(fullness: float, every: int) -> None:
    assert keep_every(fullness) == every
    samples = [(float(second), Decimal(second)) for second in range(80)]
    assert len(kept(ChannelRule(), samples, fullness)) == 80 // every
    assert len(kept(ChannelRule(thin_out=False), samples, fullness)) == 80, "unless an alarm hangs on it"


def test_pressure_grows_with_fullness() -> None:
    assert list(THINNING) == sorted(THINNING)


def test_a_change_that_pressure_left_out_is_still_news() -> None:
    rule = ChannelRule(deadband=Decimal(1), silence_seconds=900)
    samples = [(0.0, Decimal(0)), (1.0, Decimal(5)), (2.0, Decimal(5)), (3.0, Decimal(5))]
    assert [k.value for k in kept(rule, samples, 0.5)] == [0, 5], "kept at its second chance, then told"


@pytest.mark.parametrize(
    "rule",
    [
        {"window_seconds": 0},
        {"window_seconds": 86_401},
        {"statistics": []},
        {"statistics": ["mean", "mean"]},
        {"statistics": ["median"]},
        {"deadband": "0"},
        {"deadband": "NaN"},
        {"silence_seconds": 0},
        {"deadbnd": "1"},
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(rule: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ChannelRule.model_validate(rule)
