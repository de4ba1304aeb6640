"""A steady pace: never more than so many requests in any second, over a clock and a sleep that are given."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

_SECOND = timedelta(seconds=1)


@dataclass
class Pace:
    """Whoever takes a turn may make one request. One pace an account: Route 53 counts all its requests together."""

    per_second: int
    clock: Callable[[], datetime]
    sleep: Callable[[float], None]
    """Seconds."""
    turns: int = 0
    """Taken so far."""
    _recent: deque[datetime] = field(default_factory=deque)

    def turn(self) -> None:
        """Wait until one more request keeps the pace."""
        if len(self._recent) == self.per_second:
            wait = self._recent[0] + _SECOND - self.clock()
            if wait > timedelta():
                self.sleep(wait.total_seconds())
            self._recent.popleft()
        self._recent.append(self.clock())
        self.turns += 1
