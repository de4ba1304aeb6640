"""From a request to what it asks of each device: a decision, or why there is none."""

from collections.abc import Callable, Collection, Iterator
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

from fleet.routing.allocation import Facts, Policy, allocate, rendezvous, unit_hash
from fleet.routing.csv_file import Problems
from fleet.routing.guards import Guards
from fleet.routing.places import Places
from fleet.routing.requests import WantedRow
from fleet.routing.route import Kind
from fleet.routing.spool import Spool, Standing
from fleet.routing.target import DEFAULT, Target


class Decision(NamedTuple):
    """A device's next route."""

    target: Target
    kind: Kind
    owner: str
    reason: str
    expires: datetime | None
    returns_to: Target


class NoWay(NamedTuple):
    """Something should be done with a device, and cannot."""

    reason: str


Asked = tuple[Standing, Decision | NoWay | None]
"""None: nothing is asked of this device."""
Decide = Callable[[Standing], Decision | NoWay | None]


def home(standing: Standing) -> Target:
    """Where the device belongs: where it is, or where it returns to after its redirect."""
    return standing.target if standing.expires is None else standing.returns_to


def requested(spool: Spool, problems: Problems) -> Iterator[Asked]:
    """What rows ask for, a device once; rows that disagree and unknown devices go to `problems`."""
    last: WantedRow | None = None
    for wanted, standing in spool.asked():
        if last is not None and wanted.device == last.device:
            if wanted._replace(line=last.line) != last:
                rule = f"{wanted.device} is asked for otherwise in line {last.line}"
                problems.add(wanted.line, "device", rule, "remove one of the two")
            continue
        last = wanted
        if standing is None:
            rule = f"device {wanted.device} is not in the fleet"
            problems.add(wanted.line, "device", rule, "correct it; if it is new, run `provisioning sync` first")
            continue
        returns_to = DEFAULT
        if wanted.expires is not None:
            returns_to = home(standing) if wanted.returns_to is None else wanted.returns_to
        yield standing, Decision(wanted.target, wanted.kind, wanted.owner, wanted.reason, wanted.expires, returns_to)


def draining(
    cluster: str, percent: float, receivers: Collection[str], places: Places, guards: Guards, *, owner: str, reason: str
) -> Decide:
    """Empty a cluster, by share: who goes at 10 % also goes at 20 %, and who has gone is not asked again.

    A device that an engineer looks at stays with him, and will return to its new cluster instead of the drained one.
    """
    purpose = f"drain/{cluster}"
    share = percent / 100
    even = lru_cache(1_024)(lambda names: dict.fromkeys(names, 1.0))

    def is_there(target: Target) -> bool:
        return target.cluster == cluster or (target.is_default and places.single_default == cluster)

    def decide(standing: Standing) -> Decision | NoWay | None:
        goes = standing.kind is not Kind.DEBUG and is_there(standing.target)
        would_return = standing.expires is not None and is_there(standing.returns_to)
        if not (goes or would_return) or unit_hash(purpose, standing.device) >= share:
            return None
        accepted = tuple(name for name in receivers if guards.accepts(standing, name, in_residency=True)) or tuple(
            name for name in receivers if guards.accepts(standing, name, in_residency=False)
        )
        if not accepted:
            return NoWay(f"admission: none of {', '.join(receivers)} would serve it; run `provisioning sync` first")
        goal = places.shortest(rendezvous(standing.device, even(accepted)))
        returns_to = goal if would_return else standing.returns_to
        if not goes:
            return Decision(
                standing.target, standing.kind, standing.owner, standing.reason, standing.expires, returns_to
            )
        return Decision(goal, Kind.DRAIN, owner, reason, standing.expires, returns_to)

    return decide


def allocating(policy: Policy, places: Places, *, owner: str, reason: str) -> Decide:
    """Send every device where the policy says it belongs; one that is elsewhere for a while will return there."""

    def decide(standing: Standing) -> Decision | None:
        goal = allocate(policy, Facts(standing.device, standing.model, standing.country, standing.residency))
        if goal is None:
            return None
        goal = places.shortest(goal.cluster) if goal.cluster else goal
        if standing.expires is not None:
            return Decision(standing.target, standing.kind, standing.owner, standing.reason, standing.expires, goal)
        return Decision(goal, Kind.MOVE, owner, reason, None, DEFAULT)

    return decide
