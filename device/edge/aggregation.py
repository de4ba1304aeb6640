"""Many samples become a few numbers: what a window of time held."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Statistic(StrEnum):
    """What is kept of a window."""

    MIN = "min"
    MAX = "max"
    MEAN = "mean"
    LAST = "last"


@dataclass(frozen=True)
class Window:
    """The samples of one window so far; never empty. `index`: how many windows lie between 1970 and this one."""

    index: int
    time: datetime
    """Of the last sample."""
    count: int
    total: Decimal
    least: Decimal
    greatest: Decimal
    last: Decimal
    exponent: int
    """Of the finest sample: 21.55 has -2."""

    def value(self, statistic: Statistic) -> Decimal:
        """One number of the window; a mean has one digit more than its finest sample."""
        if statistic is Statistic.MEAN:
            return (self.total / self.count).quantize(Decimal(1).scaleb(self.exponent - 1))
        return {Statistic.MIN: self.least, Statistic.MAX: self.greatest, Statistic.LAST: self.last}[statistic]


def aggregate(window: Window | None, length: timedelta, time: datetime, value: Decimal) -> tuple[Window, Window | None]:
    """The window that now holds the sample, and the one before it, if the sample ended that.

    Windows begin at whole multiples of `length` since 1970, so those of all devices agree. A clock that jumps, in
    either direction, ends a window early; no sample is counted twice or left out.
    """
    index = (time - _EPOCH) // length
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int):
        raise ValueError(f"{value} is no measurement")  # noqa: TRY004 - a NaN has the right type
    if window is None or window.index != index:
        return Window(index, time, 1, value, value, value, value, exponent), window
    return Window(
        index=index,
        time=time,
        count=window.count + 1,
        total=window.total + value,
        least=min(window.least, value),
        greatest=max(window.greatest, value),
        last=value,
        exponent=min(window.exponent, exponent),
    ), None
