"""What a network does to a connection, as TCP shows it to the two ends. Pure but for the random numbers it is given.

A proxy sees bytes, not packets: it cannot lose any without breaking TLS. What it can do honestly is what loss does to a
TCP connection: the stream stands still until the lost segment was sent again. So each segment of a small message is
lost with the probability `loss`, and each time waits for the retransmission timer, which doubles (RFC 6298). Lost
acknowledgements cost nothing here, and long streams, which recover within a round trip, are judged too harshly.
"""

import math
from dataclasses import dataclass
from enum import StrEnum

from protocol.traffic import Random

SEGMENT_BYTES = 1_400
"""What a segment carries over a mobile network."""
RETRANSMIT_SECONDS = 0.2
"""The shortest retransmission timer of Linux; RFC 6298 allows it, and it is what a short path has."""
LONGEST_RETRANSMIT_SECONDS = 120.0
"""And its longest."""
FIRST_RETRANSMIT_SECONDS = 1.0
"""Of a connection that is being opened (RFC 6298, section 2.1)."""
LATE_SECONDS = 1.0
"""The slow link's delay: what comes this much later than it was sent is late."""


class Harm(StrEnum):
    """What a network did to a piece of data, or to a connection, that a good one does not do."""

    LOST = "stood still for a lost segment"
    LATE = "came late"
    FORGOTTEN = "was forgotten by a NAT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """Of one connection, both ways. The defaults are a perfect network."""

    delay_seconds: float = 0.0
    """One way."""
    jitter_seconds: float = 0.0
    """At most so much more, at random; bytes never overtake each other."""
    bytes_per_second: float = math.inf
    loss: float = 0.0
    """The share of segments that must be sent again."""
    forgets_after_seconds: float = math.inf
    """A NAT on the path: a connection that was silent this long is dead, and neither end is told."""
    refuses: bool = False
    """New connections are refused at once; open ones stay."""
    is_silent: bool = False
    """Nothing passes, and nobody is told; what was sent meanwhile comes after, as TCP sends it again."""

    def __post_init__(self) -> None:
        """`ValueError` for what no network does."""
        if not 0 <= self.loss < 1:
            raise ValueError(f"a loss of {self.loss}: a share from 0 to less than 1")
        if min(self.delay_seconds, self.jitter_seconds) < 0 or self.bytes_per_second <= 0:
            raise ValueError("a delay is not negative, and a bandwidth is above 0")


GOOD = Conditions()


def stall_seconds(segments: int, loss: float, random: Random, *, timer: float = RETRANSMIT_SECONDS) -> float:
    """How long a stream of so many segments stands still for those that are lost."""
    stalled = 0.0
    for _ in range(segments if loss else 0):
        wait = timer
        while random() < loss:
            stalled += wait
            wait = min(2 * wait, LONGEST_RETRANSMIT_SECONDS)
    return stalled


@dataclass(slots=True)
class Direction:
    """One way of a connection: when bytes that are handed in now come out at its end."""

    free_at: float = 0.0
    """When the last byte before was sent."""
    arrived_at: float = 0.0
    stalled_seconds: float = 0.0
    """How long the last bytes stood still for lost segments."""

    def arrival(self, now: float, size: int, conditions: Conditions, random: Random) -> float:
        """The time at which `size` bytes, handed in `now`, are all there."""
        segments = math.ceil(size / SEGMENT_BYTES)
        sending = size / conditions.bytes_per_second
        self.stalled_seconds = stall_seconds(segments, conditions.loss, random)
        self.free_at = max(now, self.free_at) + self.stalled_seconds + sending
        travelling = conditions.delay_seconds + conditions.jitter_seconds * random()
        self.arrived_at = max(self.arrived_at, self.free_at + travelling)
        return self.arrived_at
