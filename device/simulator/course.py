"""What was seen of a run: curves, and for each story what the report judges it by.

Times are seconds of the devices' time since the first story began, with a fleet that was connected.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from device.simulator.conditions import Harm
from device.simulator.scenario import Scenario


@dataclass(frozen=True, slots=True)
class Look:
    """The fleet at a moment."""

    at: float
    """Negative before the beginning."""
    connected: int
    attempts: int
    """Connections tried so far."""
    acknowledged: int
    """Rows, so far."""
    waiting: int


OnLook = Callable[[Look, str], None]
"""Told the state of the fleet, and what happens to it, about once a second of its time."""


@dataclass
class Passage:
    """One story, as it went."""

    story: Scenario
    began: float
    ended: float = 0.0
    restored_at: float | None = None
    """When everything was as before."""
    back_after: float | None = None
    """From then until every device was connected, where the story ends; nothing where it never was."""
    reconnects: tuple[int, ...] = ()
    """Of each device."""
    harm: Counter[Harm] = field(default_factory=Counter)
    """What the network did."""


@dataclass
class Course:
    """A whole run."""

    looks: list[Look] = field(default_factory=list)
    attempts: dict[int, int] = field(default_factory=dict)
    """Connections that devices tried to open, by second."""
    passages: list[Passage] = field(default_factory=list)
    acts: list[float] = field(default_factory=list)
    """When something happened to the fleet."""
    peak_disk_bytes: int = 0
    """The most that one device's buffer took."""
    peak_resident_kib: int = 0
    """The most that this process had of memory, until the fleet had delivered."""
    took_seconds: float = 0.0
    """Of the world's time."""

    def peak_attempts_once_restored(self, passage: Passage) -> int | None:
        """The most in one second, from when all was as before until the story was over; nothing where it never was."""
        if passage.restored_at is None:
            return None
        within = range(int(passage.restored_at), int(passage.ended) + 1)
        return max((self.attempts.get(second, 0) for second in within), default=0)
