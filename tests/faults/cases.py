"""One fault at one call of an issuance, and every rule after it."""

from tests.faults.bench import Bench, Point
from tests.faults.judge import broken_rules, left_behind, unconverged
from tests.faults.warm import strike

KILL = "KILL"
DEVICE = "device1"


def broken_by(bench: Bench, point: Point, fault: str, *, is_key_generated: bool = True) -> list[str]:
    """What one fault breaks. A command that was killed says nothing; one that goes on is judged by its words."""
    factory = bench.factory()
    order = bench.order(factory, is_key_generated=is_key_generated)
    ran = bench.run(factory, order, strace=strike(point.call, point.number, fault))
    assert (ran.code == -9) == (fault == KILL), f"{fault} at {point} was not met: {ran}"
    broken = broken_rules(factory, [ran], device=DEVICE)
    broken += unconverged(factory, order, device=DEVICE)
    return broken + [f"a key was left in {name}" for name in left_behind(factory)]


def all_broken(bench: Bench, points: list[Point], fault: str) -> dict[str, list[str]]:
    """By point, what a fault there breaks; empty when nothing ever does."""
    found = {f"{fault} at {point}": broken_by(bench, point, fault) for point in points}
    return {where: broken for where, broken in found.items() if broken}
