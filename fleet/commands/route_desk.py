"""One environment's routes as `debug` and `sweep` work on them: its table, its zone, and who is at work."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Self

from fleet.cloud import Cloud
from fleet.deployment import ground_of
from fleet.routing.ground import Ground
from fleet.routing.plan import PLAN_VERSION, Change, Header, Plan
from fleet.routing.route_table import RouteTable
from fleet.routing.sweep_shelf import DynamoSweepShelf
from fleet.zone_applier import zone_applier
from provisioning.commands.options import now, outputs_of
from stacks.outputs import Outputs


@dataclass(frozen=True, kw_only=True)
class RouteDesk:
    """What a command about single routes needs."""

    outputs: Outputs
    outputs_path: Path
    cloud: Cloud
    table: RouteTable
    shelf: DynamoSweepShelf
    apply: Callable[[Plan], object]
    """`Applier.apply`, harmless when repeated."""
    holder: str

    @classmethod
    def of(cls, stack: str, path: Path) -> Self:
        """The desk of the environment whose outputs are in `path`."""
        outputs = outputs_of(stack, path)
        cloud = Cloud.from_environment()
        applier = zone_applier(outputs, cloud, clock=now)
        return cls(
            outputs=outputs,
            outputs_path=path,
            cloud=cloud,
            table=applier.table,
            shelf=DynamoSweepShelf(cloud.dynamodb(outputs.home_region), outputs.routing.route_table),
            apply=applier.apply,
            holder=applier.holder,
        )

    @property
    def ground(self) -> Ground:
        """The deployment, as a sweep takes it."""
        return ground_of(self.outputs)

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
