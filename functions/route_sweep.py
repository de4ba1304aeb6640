"""Takes expired redirects back every few minutes, with the code of `fleet route sweep` (docs/adr/0007).

A run waits for Route 53 to say INSYNC, about a minute for each fifty devices, because a route counts as swept only when
every server answers so; left to the next run, the proof would come five minutes later and the zone would stay claimed
meanwhile. A run that would outlive its time limit stops at its next wait: what it began lies on the shelf of the route
table, and the next run finishes it. So does whatever ended it otherwise.

Metrics: `RoutesSwept`, `RoutesOverdue`, namespace `Flotilla`, dimension Environment. Both are told in every run, so
that an alarm can take silence for what it is. While a person applies a plan the zone is theirs, and the sweep waits for
the next run; a fault of AWS or of ours is raised, for the function's own alarm.
"""

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from fleet.errors import RefusedError, UnfinishedError
from fleet.routing.applier import Applier
from fleet.routing.dynamodb_route_table import DynamoRouteTable
from fleet.routing.ground import Ground
from fleet.routing.pace import Pace
from fleet.routing.plan import Plan
from fleet.routing.route53_zone import Route53Zone
from fleet.routing.route_table import RouteTable
from fleet.routing.sweep import sweep
from fleet.routing.sweep_shelf import DynamoSweepShelf, SweepShelf
from fleet.routing.zone import REQUESTS_PER_SECOND
from fleet.routing.zone_writer import ZoneWriter
from functions.clients import ONCE, client
from functions.log import log
from functions.metrics import report
from protocol.routes import DEVICE_KEY, PINS, PINS_KEY, REVISION_KEY

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_route53 import Route53Client

SWEPT = "RoutesSwept"
OVERDUE = "RoutesOverdue"
RESERVE = timedelta(seconds=30)
"""Of the time limit, kept for the calls after the last wait: some at a time-out of 10 s each, and the metrics."""


class OutOfTimeError(UnfinishedError):
    """The run would outlive its time limit; the next one goes on."""


class Context(Protocol):
    """What Lambda says of the run."""

    function_name: str

    def get_remaining_time_in_millis(self) -> int:
        """Until Lambda ends it."""


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """The services the sweep uses."""

    dynamodb: "DynamoDBClient"
    route53: "Route53Client"
    """With one attempt a call: only the applier knows what may be repeated."""
    cloudwatch: "CloudWatchClient"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The function's environment variables."""

    environment: str
    domain: str
    zone_id: str
    route_table: str
    clusters: Mapping[str, str]
    """Cluster to the server name devices verify there."""

    @classmethod
    def read(cls, variables: Mapping[str, str]) -> "Settings":
        """The settings in `variables`; `KeyError` names the one that is missing."""
        return cls(
            environment=variables["ENVIRONMENT"],
            domain=variables["DOMAIN"],
            zone_id=variables["ZONE_ID"],
            route_table=variables["ROUTE_TABLE"],
            clusters=json.loads(variables["CLUSTERS"]),
        )


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run: who it is, and how it waits."""

    holder: str
    deadline: datetime
    """No wait goes beyond it."""
    clock: Callable[[], datetime]
    sleep: Callable[[float], None]
    """Seconds."""

    def wait(self, seconds: float) -> None:
        """Sleep, unless that takes too long; `OutOfTimeError`."""
        if self.clock() + timedelta(seconds=seconds) > self.deadline:
            raise OutOfTimeError(f"no time is left to wait {seconds:.0f} s; the next run goes on")
        self.sleep(seconds)


def handler(_event: object, context: Context) -> dict[str, Any]:
    """What Lambda calls on schedule."""
    cloud = Cloud(dynamodb=client("dynamodb"), route53=client("route53", tries=ONCE), cloudwatch=client("cloudwatch"))
    left = timedelta(milliseconds=context.get_remaining_time_in_millis())
    run = Run(holder=context.function_name, deadline=_now() + left - RESERVE, clock=_now, sleep=time.sleep)
    return sweep_routes(cloud=cloud, settings=Settings.read(os.environ), run=run)


def sweep_routes(*, cloud: Cloud, settings: Settings, run: Run) -> dict[str, Any]:
    """Sweep, count and tell; the answer is what was logged. `UnfinishedError` when something is at fault."""
    table = DynamoRouteTable(cloud.dynamodb, settings.route_table)
    shelf = DynamoSweepShelf(cloud.dynamodb, settings.route_table)
    ground = _ground(settings, read_pins(cloud.dynamodb, settings.route_table))
    apply = _Counting(_applier(ground, table, cloud, run).apply)
    failure: UnfinishedError | None = None
    said: dict[str, Any] = {}
    try:
        said["left"] = dict(sweep(ground, table, shelf, apply, holder=run.holder, clock=run.clock).left)
    except (RefusedError, OutOfTimeError) as error:
        said["waits"] = str(error)
    except UnfinishedError as error:
        said["failed"], failure = str(error), error
    said |= {"swept": apply.swept, "overdue": sorted(overdue(table, shelf, now=run.clock()))}
    report(
        cloud.cloudwatch,
        environment=settings.environment,
        values={SWEPT: said["swept"], OVERDUE: len(said["overdue"])},
    )
    log("route-sweep", **said)
    if failure is not None:
        raise failure
    return said


def read_pins(dynamodb: "DynamoDBClient", route_table: str) -> frozenset[str]:
    """The devices whose names the program owns, as it wrote them down; `UnfinishedError` where it did not."""
    key = {DEVICE_KEY: {"S": PINS_KEY}, REVISION_KEY: {"N": "0"}}
    item = dynamodb.get_item(TableName=route_table, Key=key, ConsistentRead=True).get("Item", {})
    if PINS not in item:
        raise UnfinishedError(f"route table {route_table} has no item {PINS_KEY}, so nothing is swept; deploy again")
    return frozenset(str(each["S"]) for each in item[PINS]["L"])


def overdue(table: RouteTable, shelf: SweepShelf, *, now: datetime) -> set[str]:
    """Devices whose redirect should have ended: expired routes as they stand, and those of a sweep that is not done."""
    expired = table.read({route.device for route in table.expired(now)}).values()
    begun = shelf.read()
    standing = {str(route.device) for route in expired if route.expires is not None and route.expires <= now}
    return standing | (set() if begun is None else {str(change.device) for change in begun.changes()})


class _Counting:
    """Applies plans, and knows how many devices were swept by those that came to their end."""

    def __init__(self, apply: Callable[[Plan], object]) -> None:
        self._apply = apply
        self.swept = 0

    def __call__(self, plan: Plan) -> None:
        self._apply(plan)
        self.swept += plan.count


def _ground(settings: Settings, pins: frozenset[str]) -> Ground:
    return Ground(
        environment=settings.environment,
        domain=settings.domain,
        zone_id=settings.zone_id,
        route_table=settings.route_table,
        clusters=settings.clusters,
        pins=pins,
    )


def _applier(ground: Ground, table: RouteTable, cloud: Cloud, run: Run) -> Applier:
    pace = Pace(REQUESTS_PER_SECOND, run.clock, run.wait)
    writer = ZoneWriter(zone=Route53Zone(cloud.route53, ground.zone_id), pace=pace, sleep=run.wait)
    return Applier(ground=ground, table=table, writer=writer, clock=run.clock, sleep=run.wait, holder=run.holder)


def _now() -> datetime:
    return datetime.now(UTC)
