"""An event loop whose time runs faster than the world's, so that an outage of half an hour takes a minute.

Every wait of the agents, of their connections and of the network between them is a wait of this loop. When the machine
has no time for it, its time stands still: a device never gives up on an answer only because a thousand others, or
somebody else's work, were served before it. Only the broker lives in the world's time.
"""

import asyncio
import selectors
import time
from typing import Any

LONGEST_TURN_SECONDS = 0.02
"""Of the world's time: what one turn of the loop counts at most, however long its callbacks took."""


class _PacedSelector(selectors.DefaultSelector):
    """Waits, and keeps the time: what was waited for, and a little for what was done in between."""

    def __init__(self, pace: float) -> None:
        super().__init__()
        self.pace, self.now = pace, time.monotonic()
        self._left_at = time.monotonic()

    def select(self, timeout: float | None = None) -> Any:
        entered = time.monotonic()
        self.now += min(entered - self._left_at, LONGEST_TURN_SECONDS) * self.pace
        ready = super().select(timeout / self.pace if timeout and timeout > 0 else timeout)
        self._left_at = time.monotonic()
        waited = (self._left_at - entered) * self.pace
        # Who was woken late by a busy machine has not waited longer than it asked for.
        self.now += waited if timeout is None else min(waited, max(timeout, 0.0))
        return ready


class PacedLoop(asyncio.SelectorEventLoop):
    """`pace`: seconds of its time in one of the world's, as long as the machine keeps up."""

    def __init__(self, pace: float = 1.0) -> None:
        """`pace`: above 0; 1 is the world's."""
        self._paced = _PacedSelector(pace)
        super().__init__(self._paced)

    def time(self) -> float:
        """Seconds that only go forward; the same throughout one turn."""
        return self._paced.now
