"""Send every device whose redirect has expired back to where it belongs.

Called by `fleet route sweep` and by a scheduled function. Expired routes become plans, applied one after the other as
any plan is. The rule that makes it safe to kill:

- A plan is small enough to be one atomic write of the table and one batch of the zone. It lies on the shelf of the
  table from before its first step until after its last, and whoever sweeps next finishes what lies there before
  anything else: its routes are no longer in the index of expiring ones, and nothing else would find them.
- A plan that cannot be carried out as a whole is parted into plans of one device each, which follow from it alone. So
  a sweep that was killed among those comes to the same ones again, and those that are done are known to be done.

What cannot be taken back even alone, because its record is not the one that was written, is told and left to a person.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice

from fleet.errors import BlockedError, WorldMovedError
from fleet.routing.ground import Ground
from fleet.routing.plan import PLAN_VERSION, Change, Header, Plan
from fleet.routing.plan_text import TextPlan
from fleet.routing.record_set import RecordSet, project
from fleet.routing.route import Kind, Route
from fleet.routing.route_table import MAX_WRITES, RouteTable
from fleet.routing.sweep_shelf import SweepShelf
from fleet.routing.target import DEFAULT, Target
from protocol.device_id import DeviceId

__all__ = ["MAX_SWEPT", "Ground", "Swept", "sweep", "sweep_changes"]

MAX_SWEPT = MAX_WRITES
"""Devices in one plan: one atomic write of the table; their records fit one batch of Route 53, and the plan's text
(about 1 kB a device) the 400 KB of one item (DynamoDB quota)."""
_PINNED = "it is pinned in the stack file, which owns its name; the pin's own expiry is checked when it is deployed"


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
    other than `WorldMovedError` and `BlockedError` end the sweep; what is on the shelf is finished by the next.
    """
    run = _Run(ground, table, shelf, apply)
    run.finish()
    while changes := run.next(clock()):
        plan = TextPlan.of(_header(ground, holder, clock()), changes)
        if shelf.put(plan):
            run.left |= run.carry_out(plan)
            shelf.take_away(plan)
        else:
            # Somebody sweeps at the same time. Doing their plan too is harmless; what is left is asked for anew.
            run.finish()
    return Swept(changes=tuple(run.done), left=run.left)


@dataclass
class _Run:
    """One sweep under way."""

    ground: Ground
    table: RouteTable
    shelf: SweepShelf
    apply: Callable[[Plan], object]
    done: list[Change] = field(default_factory=list)
    left: dict[DeviceId, str] = field(default_factory=dict)

    def next(self, now: datetime) -> tuple[Change, ...]:
        """The next changes, read from the routes themselves: the index of expiring ones may lag behind (DynamoDB)."""
        handled = {change.device for change in self.done} | set(self.left)
        found = {route.device for route in self.table.expired(now)} - handled
        self.left |= dict.fromkeys(found & set(self.ground.pins), _PINNED)
        some = sorted(found - set(self.ground.pins))
        expired = (
            route
            for start in range(0, len(some), MAX_SWEPT)
            for route in self.table.read(some[start : start + MAX_SWEPT]).values()
            if route.expires is not None and route.expires <= now
        )
        return sweep_changes(islice(expired, MAX_SWEPT), self.ground)

    def finish(self) -> None:
        """Carry out the plan on the shelf. What the world has moved on from is asked for anew, if it is expired yet."""
        plan = self.shelf.read()
        if plan is None:
            return
        left = self.carry_out(plan)
        self.left |= {device: why for device, why in left.items() if self._is_begun(plan)}
        self.shelf.take_away(plan)

    def carry_out(self, plan: TextPlan) -> dict[DeviceId, str]:
        """Apply the plan, or each of its changes alone if it cannot be applied whole; the devices left, and why."""
        with suppress(WorldMovedError, BlockedError):
            self.apply(plan)
            self.done.extend(plan.changes())
            return {}
        left: dict[DeviceId, str] = {}
        for part in _parted(plan, is_begun=self._is_begun(plan)):
            try:
                self.apply(part)
            except (WorldMovedError, BlockedError) as error:
                left |= {change.device: str(error) for change in part.changes()}
            else:
                self.done.extend(part.changes())
        return left

    def _is_begun(self, plan: Plan) -> bool:
        return self.table.read_plan(plan.digest) is not None


def _parted(plan: TextPlan, *, is_begun: bool) -> Iterator[TextPlan]:
    """The plan's changes as plans of one each, always the same ones.

    Of a plan that was begun the table holds the routes already and the zone nothing yet: so each becomes the revision
    after that, which stays where the route now says and still has the zone to change.
    """
    header = replace(plan.header, request=f"{plan.header.request}, parted from {plan.digest}")
    for change in plan.changes():
        again = replace(change, revision=change.revision + 1, before=change.after) if is_begun else change
        yield TextPlan.of(header, [again])


def _change(route: Route, ground: Ground) -> Change:
    after = _home(route.returns_to, ground)
    removes = _records(route.device, route.target, ground.domain)
    creates = _records(route.device, after, ground.domain)
    return Change(
        device=route.device,
        revision=route.revision + 1,
        before=route.target,
        after=after,
        removes=removes if removes != creates else (),
        creates=creates if removes != creates else (),
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
