"""A small world in which a plan is carried out, and dies: at any call, before or after its effect."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, cast

from fleet.routing.applier import Applier
from fleet.routing.doubt import parked
from fleet.routing.ground import Ground
from fleet.routing.pace import Pace
from fleet.routing.plan import Change, Plan
from fleet.routing.plan_text import TextPlan
from fleet.routing.record_set import RecordSet, project
from fleet.routing.route import Kind, Route, State
from fleet.routing.route_table import RouteTable
from fleet.routing.target import DEFAULT, Target
from fleet.routing.zone import REQUESTS_PER_SECOND, Create, Zone, ZoneReplyLostError, ZoneThrottledError
from fleet.routing.zone_writer import ZoneWriter
from protocol.device_id import DeviceId
from tests.fleet.memory_route_table import MemoryRouteTable
from tests.fleet.memory_zone import MemoryZone, SimulatedTime
from tests.fleet.plans import DOMAIN, change, header

EU1, US1, GATEWAY = Target(cluster="eu1"), Target(cluster="us1"), Target.parse("192.0.2.100")
GROUND = Ground(
    environment="dev",
    domain=DOMAIN,
    zone_id="Z0123456789ABC",
    route_table="flotilla-dev-routes",
    clusters={"eu1": f"eu1.clusters.{DOMAIN}", "us1": f"us1.clusters.{DOMAIN}", "ap1": f"ap1.clusters.{DOMAIN}"},
    pins={"pinned1"},
)
FOREIGN = RecordSet(f"*.gw.{DOMAIN}", "CNAME", 60, (f"default.{DOMAIN}",))
"""What Pulumi owns, and must stand at the end as at the beginning."""
CHANGES = (
    change("d1-comes", DEFAULT, EU1),
    change("d2-comes", DEFAULT, GATEWAY),
    change("d3-goes", EU1, DEFAULT, 2),
    change("d4-moves", EU1, US1, 2),
    replace(change("d5-stays", US1, US1, 2), removes=(), creates=(), reason="another owner"),
    change("d6-goes", GATEWAY, DEFAULT, 3),
    change("d7-turns", GATEWAY, EU1, 2),
)
"""Every kind of change; three batches of them at three in one, and the second of those only removes or moves."""


class KilledError(BaseException):
    """Stands for kill -9: no handler sees it, and nothing after it has an effect."""


@dataclass
class Hazard:
    """Counts calls that leave the process, and strikes at some."""

    strike: Callable[[int, str], str | None] = lambda _number, _name: None
    """By a call's number and name: `kill` or `lose`, each `before` or `after` its effect, `throttle`, or nothing."""
    calls: list[str] = field(default_factory=list)
    is_dead: bool = False

    def around(self, inner: object) -> Any:
        return _Around(inner, self)

    def call(self, name: str, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        if self.is_dead:
            raise KilledError
        number = len(self.calls)
        self.calls.append(name)
        strike = self.strike(number, name)
        if strike in {"lose before", "throttle"}:
            raise ZoneReplyLostError("lost") if strike == "lose before" else ZoneThrottledError("Rate exceeded")
        if strike == "kill before":
            self.die()
        result = function(*arguments, **named)
        if strike == "lose after":
            raise ZoneReplyLostError("lost")
        if strike == "kill after":
            self.die()
        return result

    def die(self) -> None:
        self.is_dead = True
        raise KilledError


class _Around:
    def __init__(self, inner: object, hazard: Hazard) -> None:
        self._inner = inner
        self._hazard = hazard

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)
        return lambda *arguments, **named: self._hazard.call(name, method, *arguments, **named)


@dataclass
class World:
    time: SimulatedTime = field(default_factory=SimulatedTime)
    table: MemoryRouteTable = field(default_factory=MemoryRouteTable)
    zone: MemoryZone = field(init=False)
    changes: tuple[Change, ...] = CHANGES
    plan: Plan = field(init=False)
    started_with: set[RecordSet] = field(init=False)

    def __post_init__(self) -> None:
        self.zone = MemoryZone(self.time, random.Random(7))  # noqa: S311 - simulated time, not secrets
        self.plan = TextPlan.of(header(approved_by="the data officer"), self.changes)
        standing = [records for each in self.changes if (records := project(each.device, each.before, DOMAIN))]
        for start in range(0, len(standing), 1000):
            self.zone.change([Create(records) for records in standing[start : start + 1000]])
        self.zone.change([Create(FOREIGN)])
        self.zone.changes = 0
        self.time.sleep(60)
        for each in self.changes:
            for revision in range(1, each.revision):
                self.table.write([_former(each, revision, self.time.now)])
        self.started_with = set(self.zone.record_sets)

    def applier(self, hazard: Hazard | None = None, *, holder: str = "operator", largest: int = 3) -> Applier:
        hazard = hazard or Hazard()
        pace = Pace(REQUESTS_PER_SECOND, self.time.clock, self.time.sleep)
        writer = ZoneWriter(zone=cast("Zone", hazard.around(self.zone)), pace=pace, sleep=self.time.sleep)
        return Applier(
            ground=GROUND,
            table=cast("RouteTable", hazard.around(self.table)),
            writer=writer,
            clock=self.time.clock,
            sleep=self.time.sleep,
            holder=holder,
            largest=largest,
        )

    def wanted(self) -> set[RecordSet]:
        removed = {records for each in self.changes for records in each.removes}
        return self.started_with - removed | {records for each in self.changes for records in each.creates}

    def nothing_is_lost(self) -> None:
        """Holds at any moment, also in the middle: a device goes where it went, or where the table says it shall go."""
        standing = self.table.read(each.device for each in self.changes)
        for each in self.changes:
            name = f"{each.device}.gw.{DOMAIN}"
            here = set(self.zone.records.get(name, {}).values())
            stand_in = parked(each, DOMAIN)
            assert here in (set(each.removes), set(each.creates), {stand_in}) or not (each.removes or each.creates)
            if here != set(each.removes) and (each.removes or each.creates):
                assert standing[each.device].plan == self.plan.digest, "the zone may not know what the table does not"

    def is_exactly_the_plan(self) -> None:
        assert self.zone.record_sets == self.wanted()
        for each in self.changes:
            history = self.table.history(each.device)
            assert [route.revision for route in history] == list(range(1, each.revision + 1)), (
                "each change is there once"
            )
            route = history[-1]
            assert (route.target, route.plan, route.state) == (each.after, self.plan.digest, State.POINTED)
            assert (route.owner, route.reason, route.changed_by) == (each.owner, each.reason, "operator")
            assert route.approved_by == self.plan.header.approved_by, "who answers for it is kept in the history"


def _former(of: Change, revision: int, now: datetime) -> Route:
    return Route(
        device=DeviceId(of.device),
        revision=revision,
        target=of.before,
        kind=Kind.MOVE,
        owner="former",
        reason=f"as it was {revision}",
        expires=None,
        returns_to=DEFAULT,
        state=State.SETTLED,
        changed_by="somebody",
        changed_at=now,
        plan=f"{revision}" * 64,
    )
