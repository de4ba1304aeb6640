"""The second half of a move: the next step of one device whose name already leads elsewhere. Pure.

    pointed  ->  asked  ->  arrived  ->  settled
       |           |           |
       +-----------+-----------+---->  returned

A device that is connected stays where it is, whatever its name says, until its connection ends. So once no resolver
can hold the old answer any more, the cluster it is connected to is asked to drop it; it looks its name up again and
comes to the target. One that came back to where it was (its resolver kept the old answer longer) is asked once more,
and never a third time: each asking costs the device a connection, and two that changed nothing say that more will not.

Where a device is, is its latest connection, by the clocks of the clusters alone: a connection that is still listed in
the former cluster but began before the one in the target is one that died unnoticed. The one time of ours that is
compared with theirs is when a device was asked, and only after a kill; machines that run this keep their time by NTP.

A device that was connected nowhere since the move began cannot be seen to arrive now. It is *unseen*: it stays
`pointed`, which is right for it whenever it wakes up, and moving its name back would tell us nothing either. Nothing is
known against it, so it is counted and named, and not returned.

What is not cleaned up in the former cluster: the thing and the certificate. They hold no traffic and cost nothing, and
with them a move back is this same move; without them it would need the factory's manifest to be heard again.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from fleet.routing.presence import PRESENCE_LAG, Sighting
from fleet.routing.route import State
from protocol.device_id import DeviceId
from protocol.hostnames import DEVICE_TTL_SECONDS

RESOLVER_CACHE = timedelta(seconds=30)
"""How much longer than the TTL a device's own library may keep an address (awscrt's resolver, measured)."""
MAX_ASKS = 2
"""Askings of one device in one move."""


@dataclass(frozen=True, kw_only=True)
class Waits:
    """How long to wait for what; the defaults are for the field."""

    settle: timedelta = timedelta(seconds=DEVICE_TTL_SECONDS) + RESOLVER_CACHE
    """From `pointed`, or an asking, until no resolver can still lead the device to where it was."""
    arrive_within: timedelta = timedelta(minutes=25)
    """From the asking until the move counts as failed. A device that knows it was sent away is back in seconds; one
    that takes it for an outage comes back anywhere in its window of up to 1250 s (protocol.traffic), and then two
    TTLs are left."""
    stable: timedelta = timedelta(seconds=60)
    """How long a connection in the target must have lasted to count (protocol.traffic: STABLE_AFTER)."""
    presence_lag: timedelta = PRESENCE_LAG
    """How old the answer to "who is connected" may be. A connection counts as stable, and an earlier run's asking as
    one that came to nothing, only if it still looks so this much later."""


@dataclass(frozen=True, kw_only=True)
class Moving:
    """One device under way, as it is known now. Times are UTC."""

    device: DeviceId
    destinations: frozenset[str]
    """Clusters its name may lead it to now; none when it leads to an address, where nobody can see it arrive."""
    state: State
    state_since: datetime
    followed_since: datetime
    """When this run began to follow it: what an earlier run did not wait for is waited for again."""
    was_connected: bool
    """Whether it was seen connected anywhere since the move began."""
    asks: int
    """The number of the last asking that this run made; 0 before."""
    asked_at: datetime | None
    """When that was."""
    sightings: tuple[Sighting, ...]
    """The latest of each cluster that knows it."""


class Outcome(StrEnum):
    """What became of a device's move, for this run."""

    SETTLED = "settled"
    UNSEEN = "unseen"


@dataclass(frozen=True)
class Wait:
    """Nothing can be done or learned before then."""

    until: datetime


@dataclass(frozen=True)
class Watch:
    """Look again; something is expected to change."""


@dataclass(frozen=True)
class Ask:
    """Write down that it is asked, then have this cluster drop the connection."""

    cluster: str
    number: int
    """1 or 2, over all runs."""


@dataclass(frozen=True)
class SetState:
    """Proven now: write it down. Before `settled`, the former clusters forget the session."""

    state: State
    former: tuple[str, ...] = ()


@dataclass(frozen=True)
class Return:
    """It did not come: move it back, and say what was seen."""

    reason: str


@dataclass(frozen=True)
class Done:
    """Nothing is left to do for it in this run, as far as is known."""

    outcome: Outcome


Step = Wait | Watch | Ask | SetState | Return | Done


def next_step(moving: Moving, now: datetime, waits: Waits) -> Step:
    """What to do about one device now. Asking again and again without new sightings is harmless."""
    match moving.state:
        case State.PENDING:
            raise ValueError(f"{moving.device}: its name does not lead to the target yet")
        case State.SETTLED:
            return Done(Outcome.SETTLED)
        case State.ARRIVED:
            return _confirm(moving, now, waits)
        case State.POINTED | State.ASKED:
            return _bring(moving, now, waits)


def has_been_connected(sightings: Collection[Sighting], since: datetime) -> bool:
    """Whether any cluster saw the device connected at that time or later; it may have left meanwhile."""
    return any(seen.connected or seen.since > since for seen in sightings)


def _bring(moving: Moving, now: datetime, waits: Waits) -> Step:
    """Until it is seen in the target."""
    here = _connection(moving)
    if here is not None and here.cluster in moving.destinations:
        return SetState(State.ARRIVED)
    first = _first_asking(moving, here, now, waits) if moving.state is State.POINTED else None
    if first is not None:
        return first
    if not moving.destinations and here is None:
        return Done(Outcome.UNSEEN)
    if now >= _deadline(moving, waits):
        return Return(_not_arrived(moving, here, waits)) if moving.destinations else Done(Outcome.UNSEEN)
    number = None if here is None else _next_asking(moving, here, now, waits)
    return Watch() if here is None or number is None else Ask(here.cluster, number)


def _first_asking(moving: Moving, here: Sighting | None, now: datetime, waits: Waits) -> Step | None:
    """What comes before a device was asked at all; none when only its coming can be waited for."""
    if not moving.was_connected and here is None:
        return Done(Outcome.UNSEEN)
    settled_at = moving.state_since + waits.settle
    if now < settled_at:
        return Wait(settled_at)
    return None if here is None or moving.asks else Ask(here.cluster, 1)


def _confirm(moving: Moving, now: datetime, waits: Waits) -> Step:
    """Until it has stayed in the target, also by an answer as old as answers may be.

    It is not asked again: it knew the way, and left by itself.
    """
    here = _connection(moving)
    stayed = waits.stable + waits.presence_lag
    if here is not None and here.cluster in moving.destinations and now >= here.since + stayed:
        former = sorted({seen.cluster for seen in moving.sightings} - {here.cluster})
        return SetState(State.SETTLED, tuple(former))
    if now >= _deadline(moving, waits):
        return Return(_not_stayed(moving, here, waits))
    return Watch()


def _next_asking(moving: Moving, here: Sighting, now: datetime, waits: Waits) -> int | None:
    """The number of the asking that a device is due that is still, or again, where it was; none if it is not.

    Of an earlier run's first asking it is known only that it was about to be made. The connection tells the rest: one
    that began before was never dropped, so that asking never happened; one that began after, but before a second was
    due, was dropped once; a later one may have been dropped twice, and is left alone: better moved back than dropped
    a third time.
    """
    if moving.asks:
        is_due = moving.asked_at is not None and now >= moving.asked_at + waits.settle
        return moving.asks + 1 if is_due and moving.asks < MAX_ASKS else None
    if now < moving.followed_since + waits.presence_lag:
        return None
    if here.since <= moving.state_since:
        return 1
    second_due = moving.state_since + waits.settle
    return MAX_ASKS if here.since < second_due <= now else None


def _connection(moving: Moving) -> Sighting | None:
    """The connection that counts: the latest that is not known to have ended."""
    standing = [seen for seen in moving.sightings if seen.connected]
    return max(standing, key=lambda seen: (seen.since, seen.cluster in moving.destinations), default=None)


def _deadline(moving: Moving, waits: Waits) -> datetime:
    """When waiting for the next state ends. However long the queue of those to be asked is, it is not waiting."""
    begun = max(moving.state_since, moving.followed_since)
    if moving.state is State.POINTED:
        begun += waits.settle
    if moving.asks == 1 and moving.asked_at is not None:
        begun = max(begun, moving.asked_at)
    return begun + waits.arrive_within


def _not_arrived(moving: Moving, here: Sighting | None, waits: Waits) -> str:
    within = f"not in {_named(moving.destinations)} within {_minutes(waits.arrive_within)}"
    if here is None:
        return f"{within}: it vanished; {_last_seen(moving)}"
    returned = moving.asked_at is not None and here.since > moving.asked_at
    how = "came back to" if returned else "never left"
    return f"{within}: it {how} {here.cluster}, connected there since {here.since:%H:%M:%S} UTC"


def _not_stayed(moving: Moving, here: Sighting | None, waits: Waits) -> str:
    seen = (
        f"connected to {here.cluster} since {here.since:%H:%M:%S} UTC"
        if here
        else f"connected nowhere; {_last_seen(moving)}"
    )
    return (
        f"it arrived in {_named(moving.destinations)} and did not stay {waits.stable.total_seconds():.0f} s "
        f"within {_minutes(waits.arrive_within)}: {seen}"
    )


def _last_seen(moving: Moving) -> str:
    last = max((seen for seen in moving.sightings), key=lambda seen: seen.since, default=None)
    return f"last connected to {last.cluster} until {last.since:%H:%M:%S} UTC" if last else "last seen before the move"


def _named(clusters: Collection[str]) -> str:
    return " or ".join(sorted(clusters))


def _minutes(duration: timedelta) -> str:
    seconds = duration.total_seconds()
    return f"{seconds / 60:g} min" if seconds >= 60 else f"{seconds:g} s"
