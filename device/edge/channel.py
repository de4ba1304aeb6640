"""One channel on its way to the buffer: aggregate, leave out what is no news, thin out under pressure.

A pure step: what is remembered goes in and comes out. The order is that of the sentence above: a deadband sees the
aggregated value, and pressure only what a deadband let pass.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_serializer

from device.edge.aggregation import Statistic, Window, aggregate
from device.edge.deadband import Deadband, Told, is_news
from device.edge.pressure import keep_every

MAX_WINDOW_SECONDS = 86_400
"""A day: a longer window would keep a day's readings from whoever waits for them."""


def _distinct(statistics: tuple[Statistic, ...]) -> tuple[Statistic, ...]:
    if len(set(statistics)) != len(statistics):
        raise ValueError("a statistic is named twice")
    return statistics


class ChannelRule(BaseModel):
    """What is done with one channel, as it stands in the device's configuration. The empty rule keeps everything."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    window_seconds: Annotated[int | None, Field(ge=1, le=MAX_WINDOW_SECONDS)] = None
    """Aggregate over so long; nothing means every sample."""
    statistics: Annotated[tuple[Statistic, ...], Field(min_length=1), AfterValidator(_distinct)] = (Statistic.MEAN,)
    """Each becomes a channel of its own, `temperature.mean`; without a window they are not looked at."""
    deadband: Annotated[Decimal | None, Field(gt=0, allow_inf_nan=False)] = None
    """A change smaller than this is not stored."""
    silence_seconds: Annotated[int, Field(ge=1, le=MAX_WINDOW_SECONDS)] = 900
    """An unchanged value is stored so often all the same, so that silence can be told from absence."""
    thin_out: bool = True
    """Leave rows out while the buffer fills; not for what an alarm hangs on."""

    @field_serializer("deadband", when_used="json-unless-none")
    def _as_number(self, deadband: Decimal) -> float:
        return float(deadband)


@dataclass(frozen=True)
class Kept:
    """One value to be stored; `statistic` is nothing for a sample as it was."""

    time: datetime
    value: Decimal
    statistic: Statistic | None = None


@dataclass(frozen=True, slots=True)
class ChannelState:
    """What one channel remembers between two samples."""

    window: Window | None = None
    told: dict[Statistic | None, Told] = field(default_factory=dict)
    passed: int = 0
    """How many moments a deadband let pass: pressure keeps one in so many of them."""
    thinned: int = 0
    """How many values pressure left out."""


def step(
    rule: ChannelRule, state: ChannelState, time: datetime, value: Decimal, *, fullness: float
) -> tuple[ChannelState, tuple[Kept, ...]]:
    """What a sample leads to: the next state, and what is to be stored now."""
    if rule.window_seconds is None:
        return _pass(rule, state, (Kept(time, value),), fullness)
    window, ended = aggregate(state.window, timedelta(seconds=rule.window_seconds), time, value)
    state = replace(state, window=window)
    return _pass(rule, state, tuple(_values(rule, ended)), fullness) if ended else (state, ())


def finish(rule: ChannelRule, state: ChannelState) -> tuple[Kept, ...]:
    """What an orderly stop still stores: the window at hand, as far as it went."""
    return tuple(_values(rule, state.window)) if state.window else ()


def _values(rule: ChannelRule, window: Window) -> Iterator[Kept]:
    return (Kept(window.time, window.value(statistic), statistic) for statistic in rule.statistics)


def _pass(
    rule: ChannelRule, state: ChannelState, values: tuple[Kept, ...], fullness: float
) -> tuple[ChannelState, tuple[Kept, ...]]:
    if rule.deadband is not None:
        band = Deadband(rule.deadband, timedelta(seconds=rule.silence_seconds))
        values = tuple(v for v in values if is_news(band, state.told.get(v.statistic), v.time, v.value))
    if not values:
        return state, ()
    is_kept = not rule.thin_out or state.passed % keep_every(fullness) == 0
    told = state.told
    if is_kept and rule.deadband is not None:
        # Told is what was stored: a value left out under pressure is still news when it comes again.
        told = {**told, **{v.statistic: Told(v.time, v.value) for v in values}}
    thinned = state.thinned if is_kept else state.thinned + len(values)
    return replace(state, told=told, passed=state.passed + 1, thinned=thinned), values if is_kept else ()
