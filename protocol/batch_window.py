"""How old and how large batches may become: what a hardware model promises, from the stack file through the bundle.

A good link that costs nothing gets the small end, the dearest the large one; `device.batch_window` chooses between.
"""

from datetime import timedelta
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from protocol.telemetry import MAX_ROWS
from protocol.traffic import PUBLISH_FIXED, PUBLISH_RANDOM

FRESHEST_SECONDS = int((PUBLISH_FIXED + PUBLISH_RANDOM).total_seconds())
"""Over a good link a batch leaves after 45 + random(30) seconds, so its oldest row is at most so old."""
STALEST_SECONDS = 900
"""Over the dearest link: as long as an unchanged value may go untold, so that silence still means absence."""
LONGEST_AGE_SECONDS = 7 * 86_400

Age = Annotated[float, Field(gt=0, le=LONGEST_AGE_SECONDS)]
"""Of the oldest row when its batch leaves, in seconds."""
Rows = Annotated[int, Field(ge=1, le=MAX_ROWS)]


def in_order(lower: str, low: float | None, upper: str, high: float | None) -> None:
    """`ValueError` when the lower bound is the larger; a bound that is not named fits every other."""
    if low is not None and high is not None and low > high:
        raise ValueError(f"{lower} {low:g} is more than {upper} {high:g}; exchange them")


class BatchWindow(BaseModel):
    """The bounds, in order."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    freshest_seconds: Age = FRESHEST_SECONDS
    """Over a good link that costs nothing."""
    stalest_seconds: Age = STALEST_SECONDS
    """Over the dearest or worst."""
    min_rows: Rows = 1
    max_rows: Rows = MAX_ROWS

    @model_validator(mode="after")
    def _is_a_window(self) -> Self:
        in_order("freshest_seconds", self.freshest_seconds, "stalest_seconds", self.stalest_seconds)
        in_order("min_rows", self.min_rows, "max_rows", self.max_rows)
        return self

    @property
    def freshest(self) -> timedelta:
        """As a time."""
        return timedelta(seconds=self.freshest_seconds)

    @property
    def stalest(self) -> timedelta:
        """As a time."""
        return timedelta(seconds=self.stalest_seconds)
