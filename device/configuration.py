"""What a device can be told to do differently: how often it samples, what it keeps of each channel, when it sends.

The cloud proposes a configuration in the shadow (`device.shadow`); only one that is valid as a whole is taken.
"""

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from device.batch_window import WindowContract
from device.buffer.row import Priority
from device.edge.channel import ChannelRule
from protocol.senml import MAX_CHANNEL_CHARACTERS
from protocol.telemetry import MAX_ROWS
from protocol.traffic import PUBLISH_FIXED, PUBLISH_RANDOM

SHORTEST_SAMPLE_SECONDS = 0.01
LONGEST_SAMPLE_SECONDS = 3600.0
MAX_CHANNELS = 64
"""More than any of our boards has; a configuration must fit the 8 KB of a shadow (AWS IoT Device Shadow quotas)."""
LONGEST_AGE_SECONDS = 7 * 86_400
FRESHEST_SECONDS = int((PUBLISH_FIXED + PUBLISH_RANDOM).total_seconds())
"""Over a good link a batch leaves after 45 + random(30) seconds, so its oldest row is at most so old."""
STALEST_SECONDS = 900
"""Over the dearest link: as long as an unchanged value may go untold, so that silence still means absence."""


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


class WindowBounds(_Model):
    """How old the oldest row of a batch may be, and how many rows it may have."""

    freshest_seconds: Annotated[float, Field(gt=0, le=LONGEST_AGE_SECONDS)] = FRESHEST_SECONDS
    stalest_seconds: Annotated[float, Field(gt=0, le=LONGEST_AGE_SECONDS)] = STALEST_SECONDS
    min_rows: Annotated[int, Field(ge=1, le=MAX_ROWS)] = 1
    max_rows: Annotated[int, Field(ge=1, le=MAX_ROWS)] = MAX_ROWS

    @model_validator(mode="after")
    def _is_a_contract(self) -> Self:
        _ = self.contract
        return self

    @property
    def contract(self) -> WindowContract:
        """The same, as the rule of the window takes it."""
        return WindowContract(
            freshest=timedelta(seconds=self.freshest_seconds),
            stalest=timedelta(seconds=self.stalest_seconds),
            min_rows=self.min_rows,
            max_rows=self.max_rows,
        )


class Configuration(_Model):
    """The whole. A device that was told nothing works by the defaults."""

    sample_seconds: Annotated[float, Field(ge=SHORTEST_SAMPLE_SECONDS, le=LONGEST_SAMPLE_SECONDS)] = 1.0
    channels: Annotated[
        dict[Annotated[str, Field(min_length=1, max_length=MAX_CHANNEL_CHARACTERS)], ChannelConfiguration],
        Field(max_length=MAX_CHANNELS),
    ] = {}
    """By name; a channel that is not named is kept whole."""
    window: WindowBounds = WindowBounds()
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
