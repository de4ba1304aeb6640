"""One environment's routes as `debug` and `sweep` work on them: its table, its zone, and who is at work."""

import getpass
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Self

from fleet.cloud import Cloud
from fleet.routing.applier import Applier
from fleet.routing.dynamodb_route_table import DynamoRouteTable
from fleet.routing.ground import Ground
from fleet.routing.pace import Pace
from fleet.routing.plan import PLAN_VERSION, Change, Header, Plan
from fleet.routing.route53_zone import Route53Zone
from fleet.routing.sweep_shelf import DynamoSweepShelf
from fleet.routing.zone import REQUESTS_PER_SECOND
from fleet.routing.zone_writer import ZoneWriter
from provisioning.commands.options import now, outputs_of
from stacks.outputs import Outputs


@dataclass(frozen=True, kw_only=True)
class RouteDesk:
    """What a command about single routes needs."""

    outputs: Outputs
    outputs_path: Path
    cloud: Cloud
    table: DynamoRouteTable
    shelf: DynamoSweepShelf
    apply: Callable[[Plan], object]
    """`Applier.apply`, harmless when repeated."""
    holder: str

    @classmethod
    def of(cls, stack: str, path: Path) -> Self:
        """The desk of the environment whose outputs are in `path`."""
        outputs = outputs_of(stack, path)
        cloud, holder = Cloud.from_environment(), f"{getpass.getuser()}@{socket.gethostname()}"
        dynamodb, name = cloud.dynamodb(outputs.home_region), outputs.routing.route_table
        table, pace = DynamoRouteTable(dynamodb, name), Pace(REQUESTS_PER_SECOND, now, time.sleep)
        zone = Route53Zone(cloud.route53(), outputs.zone_id)
        applier = Applier(
            ground=_ground(outputs),
            table=table,
            writer=ZoneWriter(zone=zone, pace=pace, sleep=time.sleep),
            clock=now,
            sleep=time.sleep,
            holder=holder,
        )
        return cls(
            outputs=outputs,
            outputs_path=path,
            cloud=cloud,
            table=table,
            shelf=DynamoSweepShelf(dynamodb, name),
            apply=applier.apply,
            holder=holder,
        )

    @property
    def ground(self) -> Ground:
        """The deployment, as a sweep takes it."""
        return _ground(self.outputs)

    def header(self, request: str, *, approved_by: str, at: datetime) -> Header:
        """The header of a plan made here and now."""
        ground = self.ground
        return Header(
            version=PLAN_VERSION,
            environment=ground.environment,
            domain=ground.domain,
            zone_id=ground.zone_id,
            route_table=ground.route_table,
            clusters=dict(ground.clusters),
            made_by=self.holder,
            made_at=at,
            request=request,
            approved_by=approved_by,
            undoes="",
        )

    def is_overtaken(self, change: Change, plan: str) -> bool:
        """Whether another plan has changed the route since that change was planned."""
        standing = self.table.read([change.device]).get(change.device)
        revision = 0 if standing is None else standing.revision
        return revision >= change.revision and (standing is None or standing.plan != plan)


def _ground(outputs: Outputs) -> Ground:
    return Ground(
        environment=outputs.environment,
        domain=outputs.domain,
        zone_id=outputs.zone_id,
        route_table=outputs.routing.route_table,
        clusters={name: cluster.server_name for name, cluster in outputs.clusters.items()},
        pins=outputs.routing.pins,
    )
