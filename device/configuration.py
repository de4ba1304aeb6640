"""What a device can be told to do differently: how often it samples, what it keeps of each channel, when it sends.

The cloud proposes a configuration in the shadow (`device.shadow`); only one that is valid as a whole is taken.
"""

from collections.abc import Iterable
from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from device.buffer.row import Priority
from device.edge.channel import ChannelRule
from protocol.batch_window import LONGEST_AGE_SECONDS, Age, BatchWindow, Rows, in_order
from protocol.senml import MAX_CHANNEL_CHARACTERS

SHORTEST_SAMPLE_SECONDS = 0.01
LONGEST_SAMPLE_SECONDS = 3600.0
LONGEST_LIFETIME_SECONDS = 10 * 366 * 86_400
"""Ten years, for which our models are supported at the longest: no row is worth more than its device."""
MAX_CHANNELS = 64
"""More than any of our boards has; a configuration must fit the 8 KB of a shadow (AWS IoT Device Shadow quotas)."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ChannelConfiguration(ChannelRule):
    """One channel: its rule before the buffer, and its place in it."""

    priority: Literal["urgent", "normal", "bulk"] = "normal"
    """Urgent rows leave at once, before all others, and are given up last."""

    @property
    def lane(self) -> Priority:
        """The buffer's name for it."""
        return Priority[self.priority.upper()]


class WindowWish(_Model):
    """How old and how large batches are to be, within what the model promises; what is not named is as promised."""

    freshest_seconds: Age | None = None
    stalest_seconds: Age | None = None
    min_rows: Rows | None = None
    max_rows: Rows | None = None

    def within(self, promised: BatchWindow) -> BatchWindow:
        """The window that this makes of it; `ValueError` where it goes so far beyond that no window is left."""
        return BatchWindow.model_validate(promised.model_dump() | self.model_dump(exclude_none=True))

    def beyond(self, promised: BatchWindow) -> dict[str, str]:
        """What of it the model does not promise: the reason by key."""
        ranges: dict[str, tuple[float, float]] = {
            "freshest_seconds": (promised.freshest_seconds, promised.stalest_seconds),
            "stalest_seconds": (promised.freshest_seconds, promised.stalest_seconds),
            "min_rows": (promised.min_rows, promised.max_rows),
            "max_rows": (promised.min_rows, promised.max_rows),
        }
        wishes = self.model_dump(exclude_none=True)
        return {
            key: f"{wish:g} is outside of what the model promises, {ranges[key][0]:g} to {ranges[key][1]:g}"
            for key, wish in wishes.items()
            if not ranges[key][0] <= wish <= ranges[key][1]
        }

    @model_validator(mode="after")
    def _is_a_window(self) -> Self:
        in_order("freshest_seconds", self.freshest_seconds, "stalest_seconds", self.stalest_seconds)
        in_order("min_rows", self.min_rows, "max_rows", self.max_rows)
        return self


Lifetime = Annotated[int, Field(ge=1, le=LONGEST_LIFETIME_SECONDS)]


class TimesToLive(_Model):
    """After how many seconds of operation an undelivered row is given up, by priority; what is not named is kept."""

    urgent: Lifetime | None = None
    normal: Lifetime | None = None
    bulk: Lifetime | None = None

    @property
    def by_priority(self) -> dict[Priority, timedelta]:
        """As the buffer wants them."""
        return {Priority[name.upper()]: timedelta(seconds=each) for name, each in self._named()}

    def shorter_than(self, stalest_seconds: float) -> dict[str, str]:
        """What of it would expire before its batch is due: the reason by key. Urgent rows wait for no batch."""
        return {
            name: f"{lifetime} is not longer than the {stalest_seconds:g} s that a batch may wait "
            "(window.stalest_seconds), so its rows would expire unsent"
            for name, lifetime in self._named()
            if name != "urgent" and lifetime <= stalest_seconds
        }

    def _named(self) -> Iterable[tuple[str, int]]:
        return self.model_dump(exclude_none=True).items()


class Configuration(_Model):
    """The whole. A device that was told nothing works by the defaults."""

    sample_seconds: Annotated[float, Field(ge=SHORTEST_SAMPLE_SECONDS, le=LONGEST_SAMPLE_SECONDS)] = 1.0
    channels: Annotated[
        dict[Annotated[str, Field(min_length=1, max_length=MAX_CHANNEL_CHARACTERS)], ChannelConfiguration],
        Field(max_length=MAX_CHANNELS),
    ] = {}
    """By name; a channel that is not named is kept whole."""
    window: WindowWish = WindowWish()
    time_to_live_seconds: TimesToLive = TimesToLive()
    tariff: Annotated[float, Field(ge=0, le=1)] = 0.0
    """What sending costs where the device is: from 0, nothing, to 1, the dearest."""
    metrics_seconds: Annotated[int, Field(ge=1, le=LONGEST_AGE_SECONDS)] = 900
    """How often the device tells how it is itself."""

    @property
    def sample_every(self) -> timedelta:
        """As a time."""
        return timedelta(seconds=self.sample_seconds)


WHOLE_CHANNEL = ChannelConfiguration()
"""What is done with a channel that no configuration names."""
