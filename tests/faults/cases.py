"""One fault at one call of a command, and every rule after it."""

from collections.abc import Iterable

from tests.faults.bench import Bench, Point
from tests.faults.judge import left_behind
from tests.faults.warm import strike
from tests.faults.works import Work

KILL = "KILL"
FAULTS = (KILL, "ENOSPC", "EIO")


def broken_by(bench: Bench, work: Work, point: Point, fault: str) -> list[str]:
    """What one fault breaks. A command that was killed says nothing; one that goes on is judged by its words."""
    factory = bench.factory(is_first=work.is_first)
    ran = bench.run(factory, work.order(factory), strace=strike(point.call, point.number, fault))
    assert (ran.code == -9) == (fault == KILL), f"{fault} at {point} was not met: {ran}"
    broken = work.broken(factory, [ran])
    broken += work.unconverged(factory)
    return broken + [f"a key was left in {name}" for name in left_behind(factory)]


def all_broken(bench: Bench, work: Work, struck: Iterable[tuple[Point, str]]) -> dict[str, list[str]]:
    """By point and fault, what it breaks; empty when nothing ever does."""
    found = {f"{fault} at {point}": broken_by(bench, work, point, fault) for point, fault in struck}
    return {where: broken for where, broken in found.items() if broken}
