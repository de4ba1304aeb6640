"""Whether what a plan was made from still holds. Nothing is written before this was asked."""

from collections.abc import Iterator
from datetime import datetime
from itertools import islice

from fleet.errors import WorldMovedError
from fleet.routing.ground import Ground
from fleet.routing.plan import Change, Plan
from fleet.routing.route import Route
from fleet.routing.route_table import RouteTable
from fleet.routing.target import DEFAULT

MAX_NAMED = 5
"""Devices named in one message; the first of many say enough."""
_CHUNK = 1_000
"""Changes compared at a time, so that a plan of any size fits in memory."""


def check_world(plan: Plan, ground: Ground, table: RouteTable, *, now: datetime) -> None:
    """`WorldMovedError` when the deployment, a pin, a route or an expiry is no longer as the plan has it."""
    check_ground(plan, ground)
    moved: list[str] = []
    for changes in _chunks(plan.changes()):
        standing = table.read(change.device for change in changes)
        for change in changes:
            said = _moved(change, standing.get(change.device), ground, now)
            if said:
                moved.append(f"{change.device} {said}")
    if moved:
        more = f", and {len(moved) - MAX_NAMED} more" if len(moved) > MAX_NAMED else ""
        raise WorldMovedError(
            f"the world moved since the plan was made: {'; '.join(moved[:MAX_NAMED])}{more}. Plan anew"
        )


def check_ground(plan: Plan, ground: Ground) -> None:
    """`WorldMovedError` when the plan is for another deployment, or for one that has changed since."""
    header = plan.header
    for name in ("environment", "domain", "zone_id", "route_table"):
        here, there = getattr(header, name), getattr(ground, name)
        if here != there:
            raise WorldMovedError(
                f"the plan is for {name} {here}, these outputs are of {there}; give the right outputs"
            )
    for cluster, server_name in header.clusters.items():
        if ground.clusters.get(cluster) != server_name:
            now_known = ground.clusters.get(cluster, "no cluster any more")
            raise WorldMovedError(f"cluster {cluster} was {server_name} when planned, and is {now_known}; plan anew")


def _moved(change: Change, standing: Route | None, ground: Ground, now: datetime) -> str:
    if change.device in ground.pins:
        return "is pinned in the stack file, which owns its name"
    if change.expires is not None and change.expires <= now:
        return f"would expire at {change.expires.isoformat()}, which is past"
    revision, target = (standing.revision, standing.target) if standing else (0, DEFAULT)
    if (revision, target) != (change.revision - 1, change.before):
        who = f" by {standing.changed_by}" if standing else ""
        return f"goes to {target} at revision {revision}{who}, not to {change.before} at {change.revision - 1}"
    return ""


def _chunks(changes: Iterator[Change]) -> Iterator[list[Change]]:
    while some := list(islice(changes, _CHUNK)):
        yield some
