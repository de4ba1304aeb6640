"""From a request to a plan file: fill the spool, decide, guard, write. Nothing is written unless all of it may be."""

import json
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Protocol

from fleet.errors import RefusedError
from fleet.plan_place import check_not_begun, standing_plan
from fleet.routing.allocation import Policy
from fleet.routing.csv_file import MAX_SHOWN, Problems
from fleet.routing.decisions import Asked, allocating, draining, requested
from fleet.routing.estimate import Estimate, estimate
from fleet.routing.guards import Guards
from fleet.routing.places import Places
from fleet.routing.plan import Change, Header
from fleet.routing.plan_file import Plan, write_plan
from fleet.routing.planner import Limits, Tally, check_fleet, plan_changes
from fleet.routing.requests import Defaults, Requests
from fleet.routing.roster import read_roster
from fleet.routing.route import Route
from fleet.routing.route_table import PlanEntry
from fleet.routing.spool import Census, Refusal, Spool
from protocol.device_id import DeviceId

SMALL_REQUEST = 200
"""Devices up to which they are looked up one by one (two BatchGetItem, and a Query in each cluster) instead of reading
whole tables; the fleet is counted only when more than `planner.FREE_DEVICES` of them change."""


@dataclass(frozen=True)
class Single:
    """One device."""

    device: str
    target: str
    returns_to: str = ""


@dataclass(frozen=True)
class Rows:
    """A CSV file."""

    path: Path


@dataclass(frozen=True)
class Drain:
    """Empty a cluster, or a share of it."""

    cluster: str
    percent: float
    receivers: tuple[str, ...]


@dataclass(frozen=True)
class Allocate:
    """The whole fleet, by a policy."""

    policy: Policy


Request = Single | Rows | Drain | Allocate


class Routes(Protocol):
    """What planning reads of a `RouteTable`."""

    def read(self, devices: Iterable[DeviceId]) -> dict[DeviceId, Route]:
        """See `RouteTable.read`."""

    def scan(self) -> Iterator[Route]:
        """See `RouteTable.scan`."""

    def read_plan(self, plan: str) -> PlanEntry | None:
        """See `RouteTable.read_plan`."""


@dataclass(frozen=True, kw_only=True)
class World:
    """What planning reads, and from whom."""

    places: Places
    residencies: tuple[str, ...]
    table: Routes
    listed: Callable[[str], Iterator[tuple[str, str]]]
    """A cluster's devices in good standing, each with its model."""
    found: Callable[[str, Collection[DeviceId]], Iterator[tuple[str, str]]]
    """The same of some devices alone."""
    roster: Path | None
    """The file that says who is in the fleet; without it, the manifests say it."""


@dataclass(frozen=True, kw_only=True)
class Terms:
    """How the request is meant."""

    defaults: Defaults
    limits: Limits
    approved_by: str
    is_strict: bool
    """Whether one refused device refuses the plan."""
    now: datetime


@dataclass(frozen=True, kw_only=True)
class Made:
    """What became of a request."""

    plan: Plan | None
    """None when there is nothing to change."""
    tally: Tally
    estimate: Estimate
    refused: tuple[Refusal, ...]
    """The first, at most `MAX_SHOWN`."""
    refused_file: Path | None
    """All of them, a line of JSON each; None without any."""


class _NothingToChangeError(Exception):
    """Ends the writing of a plan that has no change, so that none is written."""


def make_plan(request: Request, world: World, terms: Terms, header: Header, out: Path) -> Made:
    """Write the plan for `request` to `out`. `RefusedError` when it may not be; then nothing is written.

    A plan that stands at `out` is replaced unless somebody began it: asked last, because the same request again finds
    nothing to change, and that is no error.
    """
    standing = standing_plan(out, header.environment)
    with Spool.open(world.places.clusters) as spool:
        job = _Job(request, world, terms, spool)
        job.fill()

        def changes() -> Iterator[Change]:
            yield from job.changes()
            check_not_begun(standing, world.table.read_plan)

        try:
            plan = write_plan(out, header, changes())
        except _NothingToChangeError:
            plan = None
        refused_file = _write_refused(spool, out) if plan else None
        counted = job.counted
        return Made(
            plan=plan,
            tally=job.tally,
            estimate=estimate(job.tally, world.places.domain, counted.with_records if counted else None),
            refused=tuple(islice(spool.refused(), MAX_SHOWN)),
            refused_file=refused_file,
        )


@dataclass
class _Job:
    """One request under way."""

    request: Request
    world: World
    terms: Terms
    spool: Spool
    tally: Tally = field(default_factory=Tally)
    counted: Census | None = None
    _has_all: bool = True

    def __post_init__(self) -> None:
        match self.request:
            case Rows(path):
                self._problems = Problems(path.name)
            case _:
                self._problems = Problems("--device")
        self._guards = Guards(self.world.places, self.spool.clusters, is_approved=bool(self.terms.approved_by))

    def fill(self) -> None:
        """Bring what the request needs side by side; refuses a request or a roster that cannot be read."""
        self._put_wanted()
        world = self.world
        if world.roster is not None:
            problems = Problems(world.roster.name)
            self.spool.put_roster(read_roster(world.roster, world.residencies, problems), problems)
            problems.raise_any()
        few = self.spool.wanted_devices(SMALL_REQUEST) if isinstance(self.request, Single | Rows) else None
        self._has_all = few is None
        self._put_listed(few)
        self.spool.put_routes(world.table.scan() if few is None else world.table.read(few).values())

    def changes(self) -> Iterator[Change]:
        """The plan's changes, and after the last one the checks of the whole; `RefusedError` ends them."""
        yield from plan_changes(self._asked(), self.world.places, self._guards, self.tally, self.spool.put_refused)
        self._problems.raise_any()
        if self.terms.is_strict and self.tally.refused:
            raise RefusedError(f"--strict: {self._refused_in_words()}")
        if not self.tally.changes:
            raise _NothingToChangeError
        if self.terms.approved_by and not self._guards.uses_of_approval:
            raise RefusedError("--approved-by: nothing is sent out of its residency; leave it out")
        check_fleet(self.tally, self.terms.limits, self.world.places, self._census)

    def _put_listed(self, few: Collection[DeviceId] | None) -> None:
        world = self.world
        for cluster in world.places.clusters:
            devices = world.listed(cluster) if few is None else world.found(cluster, few)
            self.spool.put_listed(cluster, devices, is_roster=world.roster is None)

    def _put_wanted(self) -> None:
        requests = Requests(self.world.places, self.terms.defaults, self.terms.now, self._problems)
        match self.request:
            case Rows(path):
                self.spool.put_wanted(requests.read(path))
            case Single(device, target, returns_to):
                row = requests.row(0, {"device": device, "target": target, "returns_to": returns_to})
                self.spool.put_wanted([row] if row else [])
        self._problems.raise_any()

    def _asked(self) -> Iterator[Asked]:
        defaults, places = self.terms.defaults, self.world.places
        match self.request:
            case Drain(cluster, percent, receivers):
                decide = draining(
                    cluster, percent, receivers, places, self._guards, owner=defaults.owner, reason=defaults.reason
                )
            case Allocate(policy):
                decide = allocating(policy, places, owner=defaults.owner, reason=defaults.reason)
            case _:
                return requested(self.spool, self._problems)
        return ((standing, decide(standing)) for standing in self.spool.members())

    def _census(self) -> Census:
        if not self._has_all:
            if self.world.roster is None:
                self._put_listed(None)
            self.spool.forget_routes()
            self.spool.put_routes(self.world.table.scan())
        self.counted = self.spool.census()
        return self.counted

    def _refused_in_words(self) -> str:
        shown = [f"{each.device}: {each.reason}" for each in islice(self.spool.refused(), MAX_SHOWN)]
        more = self.tally.refused - len(shown)
        return "\n".join([f"{self.tally.refused} devices are refused", *shown, *([f"and {more} more"] if more else [])])


def refusal_item(refusal: Refusal) -> dict[str, str | None]:
    """A refusal as plain values."""
    after = None if refusal.after is None else str(refusal.after)
    return {"device": refusal.device, "before": str(refusal.before), "after": after, "reason": refusal.reason}


def _write_refused(spool: Spool, out: Path) -> Path | None:
    """Beside the plan; without any, the file of a former plan goes."""
    path = out.with_name(f"{out.name}.refused")
    if next(spool.refused(), None) is None:
        path.unlink(missing_ok=True)
        return None
    with path.open("w", encoding="utf-8") as file:
        for refusal in spool.refused():
            file.write(json.dumps(refusal_item(refusal)) + "\n")
    return path
