"""Taking turns at a steady rate, for calls that a quota counts by the second and that nobody else makes for us."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(kw_only=True)
class Turns:
    """Call it before each request; it comes back when the request may be made. No burst after a pause."""

    per_second: float
    monotonic: Callable[[], float]
    """Seconds, from any beginning."""
    sleep: Callable[[float], None]
    next_turn: float = 0.0

    def __call__(self) -> None:
        """Wait for the turn, and take it."""
        now = self.monotonic()
        if now < self.next_turn:
            self.sleep(self.next_turn - now)
        self.next_turn = max(now, self.next_turn) + 1 / self.per_second
