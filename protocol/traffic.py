"""When a device talks, so that a fleet never talks at once (step Scatter).

Pure functions over a random number in [0, 1): `random.random` in a device, a fixed value in a test. All times are
`timedelta`; a moment is aware.
"""

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Random = Callable[[], float]
"""A number in [0, 1), uniform."""
_EPOCH = datetime.fromtimestamp(0, UTC)

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
"""Full jitter over 30 to 600 s, for a device that no cluster has admitted yet: there are never many of them at once."""

SHORTEST_RECONNECT_WINDOW = timedelta(seconds=30)
"""However small the fleet: less would have a lone device dial a dead cluster twice a minute, and wins nothing."""
PEAK_DEVIATIONS = 5
"""How far the quota stands above the mean arrival rate, in standard deviations of a second's arrivals (Poisson).

Five: on one return at 500 connects/s one or two fleets in a thousand see a second above their quota."""
UNPLACED_SHARE = 0.25
"""Of a fleet, assumed: devices without a place in the return (`protocol.reconnect_place`), or without a clock to keep
it by. Every bundle has a place now; only devices older than that have none. A stack whose fleet has more of them says
so (`unplaced_percent`)."""
PLACED_SMEAR = timedelta(seconds=1)
"""How far apart a clock that is a little off and a slow handshake put devices that have the same place."""
PLACED_EVENNESS = 0.5
"""Of the chance in a second's arrivals, how much even places are counted on to take away. A smear of s seconds leaves
s/3 of Poisson's variance up to one second, and 1 - (s - 1/3)/s^2 beyond: a third at `PLACED_SMEAR`, a half at 1.5 s.
The difference is a reserve of half a standard deviation."""
SAFE_RECONNECT_WINDOW = timedelta(seconds=1250)
"""For a device that was told none: `reconnect_window` of the largest fleet that one account takes, 500,000 connections
at 500 connects/s (AWS IoT Core quotas)."""

STABLE_AFTER = timedelta(seconds=60)
"""A connection that lasted this long starts the backoff anew; a shorter one counts as a failed try."""

DISMISSED_RETURN = timedelta(seconds=2)
"""After a cluster sent this one device away: the upper bound of the wait before one quick try. Only the reason code for
an administrator's action counts (MQTT 5, section 3.14.2.1: 0x98), which the tools give to few devices a second. A
cluster that fails or is restarted drops everyone, with another code or none, and then the fleet's window holds."""

UNHEARD_BASE = timedelta(seconds=10)
UNHEARD_CAP = timedelta(minutes=10)
"""Between two tries of a batch that the broker took and nobody subscribed to."""

ROUTE_WATCH = timedelta(minutes=5)
ROUTE_WATCH_JITTER = timedelta(minutes=1)
"""How often a connected device looks its own name up: 5 minutes, a minute more or less. A device that nobody asks to
leave is in its new cluster within that and the TTL; a fleet of 100,000 makes 333 look-ups a second, spread over the
resolvers of the world."""


def spread(longest: timedelta, random: Random) -> timedelta:
    """A wait of at most `longest`, of which as large a share is random as in 45 + random(30) seconds: two fifths."""
    share = PUBLISH_RANDOM / (PUBLISH_FIXED + PUBLISH_RANDOM)
    return longest * (1 - share + share * random())


def publish_delay(random: Random) -> timedelta:
    """How long to wait before the next batch."""
    return PUBLISH_FIXED + PUBLISH_RANDOM * random()


def unheard_delay(attempt: int, random: Random) -> timedelta:
    """The wait before a batch that nobody subscribed to is sent again, number `attempt` (from 0).

    Its lower half is fixed: the connection is fine, so there is no crowd to scatter, and a lake that is being deployed
    is back within minutes.
    """
    bound = min(UNHEARD_CAP, UNHEARD_BASE * (1 << min(attempt, 10)))
    return bound / 2 + bound / 2 * random()


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


def even_share(*, unplaced: float = UNPLACED_SHARE, of_all: float = 1.0) -> float:
    """How much of the chance in a second's arrivals the places take away: 0 where none has one.

    `unplaced`: the share of devices without a place. `of_all`: the share of all devices that this cluster has. Which
    ones these are is nobody's plan, and places thinned by chance are by as much less even.
    """
    return (1 - unplaced) * of_all * PLACED_EVENNESS


def reconnect_window(devices: int, connects_per_second: int, *, even: float = 0.0) -> timedelta:
    """How wide a fleet spreads its return over a cluster that takes `connects_per_second`, in whole seconds.

    The fleet arrives at the rate whose random peaks stay below the quota: `PEAK_DEVIATIONS` standard deviations. Where
    nobody has a place that is 1.25 times the ideal `devices / connects_per_second` at 500 connects/s, and 1.10 times at
    3,000; `even`, an `even_share`, takes its part off the variance: 1.19 times at 0.375. `fleet simulate` shows it.
    Delivered to each device in its bundle.
    """
    spread_by_chance = PEAK_DEVIATIONS * math.sqrt(1 - even)
    deviation = (math.sqrt(spread_by_chance**2 + 4 * connects_per_second) - spread_by_chance) / 2
    return max(SHORTEST_RECONNECT_WINDOW, timedelta(seconds=math.ceil(devices / deviation**2)))


def reconnect_delay(
    attempt: int,
    random: Random,
    window: timedelta,
    *,
    was_connected: bool = False,
    place: float | None = None,
    now: datetime | None = None,
) -> timedelta:
    """The wait before reconnect number `attempt` (from 0): anywhere in the window, then exactly a window each time.

    Who keeps its place in the window keeps the fleet spread: whenever the cluster comes back, arrivals are even and all
    are there one window later. A wait after a failure that can be shorter than the window sends the fleet above its
    quota, whatever its jitter.

    A device with a `place` and a clock dials when its place comes round: windows follow one another from 1970 on. So
    devices that notice a loss at different moments, or fail slower than others, still arrive evenly. `now` is nothing
    where the clock cannot be believed; then the place counts from now. Without a place, chance decides.

    `was_connected`: what ended is a connection, too short to begin anew, and not a try. All may have lost theirs at one
    moment, and exactly a window later they would all be back at one moment. So such a device waits half a window and
    its share of one: a window on average, scattered again.
    """
    if place is not None and now is not None:
        # Not before half a window: a timer that fires early must not find the same turn again.
        earliest = window / 2 if attempt and not was_connected else timedelta()
        return earliest + (window * place - (now - _EPOCH) - earliest) % window
    if attempt and not was_connected:
        return window
    share = random() if place is None else place
    return window * (share + 0.5 if attempt else share)


def retry_delay(
    attempt: int,
    random: Random,
    *,
    was_ever_admitted: bool,
    window: timedelta,
    was_connected: bool = False,
    place: float | None = None,
    now: datetime | None = None,
) -> timedelta:
    """The wait before try number `attempt` (from 0): quick for a new identity's first tries, then backoff.

    A device that this cluster knows takes part in the return of a fleet, over the `window` it was told.
    """
    if was_ever_admitted:
        return reconnect_delay(attempt, random, window, was_connected=was_connected, place=place, now=now)
    if attempt < ADMISSION_TRIES:
        return admission_delay(attempt, random)
    return backoff_delay(attempt - ADMISSION_TRIES, random)


def dismissed_delay(random: Random) -> timedelta:
    """The wait before the one quick try of a device that was sent away: half the bound, and as much again at random."""
    return DISMISSED_RETURN / 2 + DISMISSED_RETURN / 2 * random()


def route_watch_delay(random: Random, *, every: timedelta = ROUTE_WATCH) -> timedelta:
    """How long until a connected device looks its name up again; the jitter keeps its share of `every`."""
    share = ROUTE_WATCH_JITTER / ROUTE_WATCH
    return every * (1 - share + 2 * share * random())
