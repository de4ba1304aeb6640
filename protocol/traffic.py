"""When a device talks, so that a fleet never talks at once (step Scatter).

Pure functions over a random number in [0, 1): `random.random` in a device, a fixed value in a test. All times are
`timedelta`.
"""

from collections.abc import Callable
from datetime import timedelta

Random = Callable[[], float]
"""A number in [0, 1), uniform."""

KEEP_ALIVE = timedelta(seconds=240)
"""MQTT keep-alive: below the 350 s after which AWS load balancers and NAT gateways drop an idle connection."""

SERVER_PATIENCE = 1.5
"""A broker disconnects after this many keep-alives of silence (MQTT 5, section 3.1.2.10)."""

PUBLISH_FIXED = timedelta(seconds=45)
PUBLISH_RANDOM = timedelta(seconds=30)
"""Between two batches: 45 + random(30) seconds, the guide's example of a desynchronized schedule."""

ADMISSION_DELAY = timedelta(seconds=3)
ADMISSION_TRIES = 5
"""A new identity is refused while the registrar admits it, for 1 to 3 s (measured): retry quickly, this often."""

BACKOFF_BASE = timedelta(seconds=30)
BACKOFF_CAP = timedelta(seconds=600)
"""Full jitter over 30 to 600 s: the widths that let 100,000 devices return under a quota of 500 connects/s."""

STABLE_AFTER = timedelta(seconds=60)
"""A connection that lasted this long starts the backoff anew; a shorter one counts as a failed try."""


def publish_delay(random: Random) -> timedelta:
    """How long to wait before the next batch."""
    return PUBLISH_FIXED + PUBLISH_RANDOM * random()


def admission_delay(attempt: int, random: Random) -> timedelta:
    """The wait before quick try number `attempt` (from 0) of an identity that was never admitted.

    3 s, then twice that, the upper half of each random: a line's devices do not come back together.
    """
    bound = ADMISSION_DELAY * (1 << attempt)
    return bound / 2 + bound / 2 * random()


def backoff_delay(attempt: int, random: Random) -> timedelta:
    """The wait before reconnect number `attempt` (from 0): full jitter under an exponential bound with a cap.

    Source: "Exponential Backoff And Jitter", AWS Architecture Blog; every value down to zero is possible.
    """
    return min(BACKOFF_CAP, BACKOFF_BASE * (1 << min(attempt, 10))) * random()


def retry_delay(attempt: int, random: Random, *, was_ever_admitted: bool) -> timedelta:
    """The wait before try number `attempt` (from 0): quick for a new identity's first tries, then backoff."""
    if was_ever_admitted:
        return backoff_delay(attempt, random)
    if attempt < ADMISSION_TRIES:
        return admission_delay(attempt, random)
    return backoff_delay(attempt - ADMISSION_TRIES, random)
