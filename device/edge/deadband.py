"""A value that hardly changed is not told again."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal


@dataclass(frozen=True)
class Deadband:
    """`width`: a change as large as this is told. `silence`: after so long the value is told in any case."""

    width: Decimal
    silence: timedelta


@dataclass(frozen=True)
class Told:
    """What was last told, and when."""

    time: datetime
    value: Decimal


def is_news(band: Deadband, told: Told | None, time: datetime, value: Decimal) -> bool:
    """Whether the value is to be told. A clock that went back makes it so: how long ago the last was is not known."""
    if told is None or abs(value - told.value) >= band.width:
        return True
    return not timedelta() <= time - told.time < band.silence
