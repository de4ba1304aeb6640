"""From what is asked of each device to the changes of a plan, streamed; and what a plan may not do to the whole fleet.

Unchanged devices are counted, refused ones are told, the rest become changes in the order of devices.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from fleet.errors import RefusedError
from fleet.routing.decisions import Asked, Decision, NoWay
from fleet.routing.following import ASKS_PER_SECOND
from fleet.routing.guards import Guards
from fleet.routing.places import Places
from fleet.routing.plan import Change
from fleet.routing.record_set import project
from fleet.routing.route import Kind
from fleet.routing.spool import Census, Refusal, Standing
from fleet.routing.target import Target

FREE_DEVICES = 10
"""Changes that no fleet-wide guard looks at: the size of a Test ring (step Rollout)."""
HEADROOM = 0.8
"""The share of a quota that a plan may fill: the rest is for devices that come back on their own."""


@dataclass
class Tally:
    """What a plan came to, counted while it is made."""

    changes: int = 0
    unchanged: int = 0
    pinned: int = 0
    refused: int = 0
    moves: Counter[tuple[Target, Target]] = field(default_factory=Counter)
    """Changes by from and to."""


def plan_changes(
    asked: Iterable[Asked], places: Places, guards: Guards, tally: Tally, refuse: Callable[[Refusal], None]
) -> Iterator[Change]:
    """The changes, in the order they are asked for; `refuse` hears of each device that is left where it is."""
    for standing, decision in asked:
        if standing.device in places.pins:
            tally.pinned += 1
        elif decision is None or _stands(standing, decision):
            tally.unchanged += 1
        elif reason := _objection(standing, decision, guards):
            tally.refused += 1
            after = decision.target if isinstance(decision, Decision) else None
            refuse(Refusal(standing.device, standing.target, after, reason))
        elif isinstance(decision, Decision):
            tally.changes += 1
            tally.moves[standing.target, decision.target] += 1
            yield _change(standing, decision, places.domain)


def _objection(standing: Standing, decision: Decision | NoWay, guards: Guards) -> str:
    if isinstance(decision, NoWay):
        return decision.reason
    returns_to = decision.target if decision.expires is None else decision.returns_to
    return guards.objection(standing, decision.target, returns_to, is_debug=decision.kind is Kind.DEBUG)


def _stands(standing: Standing, decision: Decision | NoWay) -> bool:
    """Whether that is so already; another owner or reason alone is no change."""
    return (
        not isinstance(decision, NoWay)
        and standing.target == decision.target
        and standing.expires == decision.expires
        and (decision.expires is None or standing.returns_to == decision.returns_to)
    )


def _change(standing: Standing, decision: Decision, domain: str) -> Change:
    is_moved = standing.target != decision.target
    removes = project(standing.device, standing.target, domain) if is_moved else None
    creates = project(standing.device, decision.target, domain) if is_moved else None
    return Change(
        device=standing.device,
        revision=standing.revision + 1,
        before=standing.target,
        after=decision.target,
        removes=() if removes is None else (removes,),
        creates=() if creates is None else (creates,),
        kind=decision.kind,
        owner=decision.owner,
        reason=decision.reason,
        expires=decision.expires,
        returns_to=decision.returns_to,
    )


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a plan may do to the whole fleet."""

    max_share_percent: int
    yes_really: int | None = None
    """How many devices change, said by who knows it."""
    max_connections: int | None = None
    """Of every cluster, where the quota differs from what the stack file states."""
    max_connects_per_second: int | None = None
    """Likewise, of new connections."""


def check_fleet(tally: Tally, limits: Limits, places: Places, census: Callable[[], Census]) -> None:
    """`RefusedError` when the plan as a whole may not be. `census` is asked only where it is needed."""
    if limits.yes_really is not None and limits.yes_really != tally.changes:
        raise RefusedError(
            f"--yes-really {limits.yes_really}: the plan changes {tally.changes} devices; look again at what is asked "
            f"for, and state exactly that number"
        )
    if tally.changes <= FREE_DEVICES:
        return
    counted = census()
    _check_blast_radius(tally, limits, counted.size)
    _check_capacity(tally, limits, places, counted)


def _check_blast_radius(tally: Tally, limits: Limits, size: int) -> None:
    allowed = max(FREE_DEVICES, size * limits.max_share_percent // 100)
    if tally.changes > allowed and limits.yes_really is None:
        raise RefusedError(
            f"blast radius: the plan changes {tally.changes} devices of {size}; one plan may change {allowed} "
            f"(max_share_percent {limits.max_share_percent}): do it in parts, or add --yes-really {tally.changes}"
        )


def _check_capacity(tally: Tally, limits: Limits, places: Places, census: Census) -> None:
    after = connections_after(tally, places, census)
    arrivals = _arrivals(tally, places)
    for cluster in sorted(arrivals):
        place = places.clusters[cluster]
        connections = limits.max_connections or place.max_connections
        connects = limits.max_connects_per_second or place.max_connects_per_second
        if arrivals[cluster] > 0 and after[cluster] > math.floor(connections * HEADROOM):
            raise RefusedError(
                f"capacity: {cluster} would have {after[cluster]} connections; {connections} are its quota, "
                f"and a plan may fill {HEADROOM:.0%} of it: send fewer there, or raise the quota and state it in the "
                f"stack file, or as --max-connections"
            )
        pace = min(ASKS_PER_SECOND, arrivals[cluster])
        if pace > connects * HEADROOM:
            raise RefusedError(
                f"capacity: {cluster} would see {pace} arrivals a second; its CONNECT quota is "
                f"{connects}, and a plan may fill {HEADROOM:.0%} of it: send fewer there"
            )


def connections_after(tally: Tally, places: Places, census: Census) -> Counter[str]:
    """Devices of each cluster once the plan is applied. A default that chooses is counted as an even choice."""
    counted: Counter[str] = Counter()
    for target, count in census.sent_to.items():
        _add(counted, places, target, count)
    for target in places.pins.values():
        _add(counted, places, target, 1)
        _add(counted, places, Target(), -1)
    counted.update(_arrivals(tally, places))
    return counted


def _arrivals(tally: Tally, places: Places) -> Counter[str]:
    """Net."""
    counted: Counter[str] = Counter()
    for (before, after), count in tally.moves.items():
        _add(counted, places, before, -count)
        _add(counted, places, after, count)
    return counted


def _add(counted: Counter[str], places: Places, target: Target, count: int) -> None:
    clusters = places.leads_to(target)
    for cluster in clusters:
        counted[cluster] += math.ceil(count / len(clusters))
