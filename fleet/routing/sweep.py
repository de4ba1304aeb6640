"""Send every device whose redirect has expired back to where it belongs.

Called by `fleet route sweep` and by a scheduled function. Expired routes become plans, one after the other, applied as
any plan is. A plan is small enough for one write to the table and one batch to the zone, and lies on the shelf of the
table while it is carried out: a sweep that was killed is finished by the next one, from the shelf, before anything
else. What cannot be taken back, because its record is not the one that was written, is parted from the rest and told.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from fleet.errors import WorldMovedError
from fleet.routing.ground import Ground
from fleet.routing.plan import PLAN_VERSION, Change, Header, Plan
from fleet.routing.plan_text import TextPlan
from fleet.routing.record_set import RecordSet, project
from fleet.routing.route import Kind, Route
from fleet.routing.route_table import MAX_WRITES, RouteTable
from fleet.routing.sweep_shelf import SweepShelf
from fleet.routing.target import DEFAULT, Target
from protocol.device_id import DeviceId

MAX_SWEPT = MAX_WRITES
"""Devices in one plan: one atomic write of the table, so that a plan is begun as a whole or not at all; its records
fit one batch of Route 53, and its text (about 1 kB a device) the 400 KB of one item (DynamoDB quota)."""


@dataclass(frozen=True, kw_only=True)
class Swept:
    """What a sweep came to."""

    changes: tuple[Change, ...]
    """Carried out, in the order they were."""
    left: Mapping[DeviceId, str]
    """Expired, and still where they are: why."""


def sweep_changes(expired: Iterable[Route], ground: Ground) -> tuple[Change, ...]:
    """What takes these routes back, sorted by device; of pinned devices nothing."""
    routes = sorted((route for route in expired if route.device not in ground.pins), key=lambda route: route.device)
    return tuple(_change(route, ground) for route in routes)


def sweep(
    ground: Ground,
    table: RouteTable,
    shelf: SweepShelf,
    apply: Callable[[Plan], object],
    *,
    holder: str,
    clock: Callable[[], datetime],
) -> Swept:
    """Finish the sweep before, then take back everything that has expired.

    `apply`: `Applier.apply`, which is harmless when repeated. `holder`: who sweeps, for the history. Errors of `apply`
    other than `WorldMovedError` end the sweep; what is on the shelf is finished by the next.
    """
    done: list[Change] = []
    left: dict[DeviceId, str] = {}
    _finish(ground, shelf, apply, done)
    while changes := _next(ground, table, {change.device for change in done} | set(left), left, clock()):
        waiting = [changes]
        while waiting:
            part = waiting.pop()
            plan = TextPlan.of(_header(ground, holder, clock()), part)
            if not shelf.put(plan):
                # Somebody sweeps at the same time. Doing their plan too is harmless; what is left is asked for anew.
                _finish(ground, shelf, apply, done)
                break
            try:
                apply(plan)
            except WorldMovedError as error:
                half = len(part) // 2
                if half:
                    waiting += [part[half:], part[:half]]
                else:
                    left[part[0].device] = str(error)
            else:
                done += part
            shelf.take_away(plan)
    return Swept(changes=tuple(done), left=left)


def _next(
    ground: Ground, table: RouteTable, handled: Collection[DeviceId], left: dict[DeviceId, str], now: datetime
) -> tuple[Change, ...]:
    """The next changes, read from the routes themselves: the index of expiring ones may lag behind (DynamoDB)."""
    found = {route.device for route in table.expired(now)} - set(handled)
    left |= dict.fromkeys(found & set(ground.pins), _PINNED)
    some = sorted(found - set(ground.pins))
    expired = (
        route
        for start in range(0, len(some), MAX_SWEPT)
        for route in table.read(some[start : start + MAX_SWEPT]).values()
        if route.expires is not None and route.expires <= now
    )
    return sweep_changes(islice(expired, MAX_SWEPT), ground)


def _finish(ground: Ground, shelf: SweepShelf, apply: Callable[[Plan], object], done: list[Change]) -> None:
    """Carry out the plan on the shelf, or drop it where the world has moved on since: nothing of it was begun."""
    plan = shelf.read()
    if plan is None:
        return
    if (plan.header.zone_id, plan.header.domain) == (ground.zone_id, ground.domain):
        try:
            apply(plan)
        except WorldMovedError:
            pass
        else:
            done.extend(plan.changes())
    shelf.take_away(plan)


_PINNED = "it is pinned in the stack file, which owns its name; the pin's own expiry is checked when it is deployed"


def _change(route: Route, ground: Ground) -> Change:
    after = _home(route.returns_to, ground)
    before_records = _records(route.device, route.target, ground.domain)
    after_records = _records(route.device, after, ground.domain)
    return Change(
        device=route.device,
        revision=route.revision + 1,
        before=route.target,
        after=after,
        removes=before_records if before_records != after_records else (),
        creates=after_records if before_records != after_records else (),
        kind=Kind.MOVE,
        owner=route.owner,
        reason=_reason(route, after),
        expires=None,
        returns_to=DEFAULT,
    )


def _home(target: Target, ground: Ground) -> Target:
    """Where it goes; a cluster that is no more would lose the device, so the default takes it."""
    return target if not target.cluster or target.cluster in ground.clusters else DEFAULT


def _reason(route: Route, after: Target) -> str:
    ended = f"{route.kind} to {route.target} (revision {route.revision}) ended at {route.expires:%Y-%m-%dT%H:%M:%SZ}"
    if after != route.returns_to:
        ended += f"; cluster {route.returns_to} is no more"
    return ended


def _records(device: DeviceId, target: Target, domain: str) -> tuple[RecordSet, ...]:
    records = project(device, target, domain)
    return () if records is None else (records,)


def _header(ground: Ground, holder: str, now: datetime) -> Header:
    return Header(
        version=PLAN_VERSION,
        environment=ground.environment,
        domain=ground.domain,
        zone_id=ground.zone_id,
        route_table=ground.route_table,
        clusters=dict(ground.clusters),
        made_by=holder,
        made_at=now,
        request="sweep",
        approved_by="",
        undoes="",
    )
