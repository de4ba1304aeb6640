"""How a rate is measured: in rounds, by the median, counting only what succeeded."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

ROUNDS = 5
"""The median of five survives two rounds in which the machine was busy elsewhere."""

Clock = Callable[[], float]
"""Seconds that only go forward, such as `time.perf_counter`."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """One line of the table. `ratio` is `value` over the same measure of `against`, from the same run."""

    name: str
    value: float
    unit: str
    ratio: float
    against: str


def rate(work: Callable[[], int], clock: Clock, rounds: int = ROUNDS) -> float:
    """How many a second `work` does; it returns how many it did, and raises when one of them failed."""
    rates = []
    for _ in range(rounds):
        started = clock()
        done = work()
        rates.append(done / (clock() - started))
    return median(rates)


def compared(name: str, value: float, unit: str, *, limit: float, against: str) -> Result:
    """The result for a value beside another of the same unit."""
    if not (value > 0 and limit > 0):
        raise ValueError(f"{name}: {value} against {limit} is no measurement")
    return Result(name=name, value=round(value, 2), unit=unit, ratio=round(value / limit, 4), against=against)
