"""How fast one call may be made: at its quota, and slower while the cloud says that this is too fast. Pure.

Additive increase, multiplicative decrease (Chiu and Jain, 1989): others use the same quota, and nobody knows how much
of it. Calls are spaced evenly, so no second ever sees more than a second's worth and one.
"""

from dataclasses import dataclass, field

CUT = 0.5
"""What is left of the pace after a throttled call."""
CUTS_APART_SECONDS = 1.0
"""Calls that were under way together are throttled together; they count once."""
CLIMB_PER_SECOND = 0.02
"""Of the quota, gained back by each second of calls that went well: from half to whole in 25 seconds."""
LOWEST_SHARE = 0.02
"""Of the quota: slow enough for any neighbour, fast enough to notice that the neighbour left."""


@dataclass
class Pace:
    """Of one call in one region. Times are seconds of one monotonic clock."""

    quota: float
    """Calls a second."""
    per_second: float = field(init=False)
    """The pace now."""
    _free_at: float = field(default=0.0, init=False)
    _cut_at: float | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.per_second = self.quota

    def reserve(self, now: float) -> float:
        """Take the next turn; how many seconds until it has come."""
        turn = max(now, self._free_at)
        self._free_at = turn + 1 / self.per_second
        return turn - now

    def went_well(self) -> None:
        """A call was answered: a little faster."""
        step = self.quota * CLIMB_PER_SECOND / self.per_second
        self.per_second = min(self.quota, self.per_second + step)

    def was_throttled(self, now: float) -> None:
        """A call was turned away for its rate: half as fast."""
        if self._cut_at is not None and now - self._cut_at < CUTS_APART_SECONDS:
            return
        self._cut_at = now
        self.per_second = max(self.quota * LOWEST_SHARE, self.per_second * CUT)
        self._free_at = max(self._free_at, now + 1 / self.per_second)


def seconds_needed(count: int, calls: dict[str, float]) -> float:
    """How long `count` devices take at least, where each needs every one of `calls` once, at these rates a second."""
    return count / min(calls.values())
