"""A plan's devices from end to end: let in by the target before, followed to it after, moved back if they do not come.

What knows the deployment's outputs and the cloud; the decisions are `routing.admission_check`'s and `routing.moving`'s.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from fleet.errors import RefusedError, WorldMovedError
from fleet.routing.admission_check import DESCRIBES_PER_SECOND, IotAdmission, Place, refusals
from fleet.routing.following import ASKS_PER_SECOND, LOOK_EVERY, Followed, Follower, Goal, Progress
from fleet.routing.moving import Waits
from fleet.routing.plan_file import Plan
from fleet.routing.presence import SEARCHES_PER_SECOND, IotPresence
from fleet.routing.returning import returns_of, write_return
from fleet.routing.route_table import RouteTable
from fleet.routing.target import Target
from fleet.routing.turns import Turns
from protocol.device_id import DeviceId
from provisioning.cloud import Cloud
from stacks.outputs import Outputs

MANAGED = "managed"
"""The kind of cluster that AWS IoT runs, and can be asked who is connected (design decision 4)."""
MAX_NAMED = 20
"""Devices a message names; the others are counted."""


@dataclass(frozen=True, kw_only=True)
class Mover:
    """One deployment, its cloud, and time."""

    outputs: Outputs
    cloud: Cloud
    table: RouteTable
    clock: Callable[[], datetime]
    sleep: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic
    waits: Waits = field(default_factory=Waits)
    look_every: timedelta = LOOK_EVERY

    def refuse_unadmitted(self, plan: Plan) -> None:
        """`RefusedError` if a target would not let a device of the plan in. Nothing is written.

        Not for a plan that was begun: what is half done is better followed to its end than left.
        """
        if self.table.read_plan(plan.digest) is not None:
            return
        by_cluster: dict[str, list[DeviceId]] = {}
        for change in plan.changes():
            for cluster in self._destinations(change.after):
                by_cluster.setdefault(cluster, []).append(change.device)
        refused: dict[DeviceId, str] = {}
        for cluster, devices in sorted(by_cluster.items()):
            place, desk = self._admission(cluster)
            refused |= refusals(place, devices, desk.read(devices), now=self.clock())
        if refused:
            named = "".join(f"\n  {device}: {reason}" for device, reason in sorted(refused.items())[:MAX_NAMED])
            more = f"\n  and {len(refused) - MAX_NAMED} more" if len(refused) > MAX_NAMED else ""
            raise RefusedError(
                f"{plan.path}: {len(refused)} of its {plan.count} devices would be refused where they are sent; "
                f"nothing was changed. Leave them out, or do what is said:{named}{more}"
            )

    def follow(
        self,
        plan: Plan,
        *,
        made_by: str,
        apply_zone: Callable[[Plan], object],
        on_progress: Callable[[Progress], None],
    ) -> Followed:
        """Follow the devices of a plan whose zone is done. `apply_zone` carries out the plans that move some back."""
        for back in returns_of(plan):
            # One that was never begun, and whose devices have gone elsewhere since, is not wanted any more.
            with suppress(WorldMovedError):
                apply_zone(back)
        begun = self.table.read_plan(plan.digest)

        def move_back(reasons: Mapping[DeviceId, str]) -> None:
            apply_zone(write_return(plan, reasons, self.table.history, made_by=made_by, now=self.clock()))

        follower = Follower(
            table=self.table,
            presences={cluster: self._presence(cluster) for cluster in self._managed()},
            clock=self.clock,
            sleep=self.sleep,
            wait_turn=self._turns(ASKS_PER_SECOND),
            move_back=move_back,
            waits=self.waits,
            look_every=self.look_every,
        )
        goals = {
            change.device: Goal(revision=change.revision, destinations=self._destinations(change.after))
            for change in plan.changes()
        }
        begun_at = begun.begun_at if begun else self.clock()
        return follower.follow(plan.digest, goals, begun_at=begun_at, on_progress=on_progress)

    def _managed(self) -> list[str]:
        return [name for name, cluster in self.outputs.clusters.items() if cluster.kind == MANAGED]

    def _destinations(self, target: Target) -> frozenset[str]:
        """The clusters a target may lead to that can be asked; none for an address, or a broker that is not AWS's."""
        if target.address:
            return frozenset()
        default = self.outputs.routing.default
        wherever = {default.cluster, *default.clusters, *default.continents.values()} - {None}
        named = {target.cluster} if target.cluster else wherever
        return frozenset(self._managed()) & frozenset(str(name) for name in named)

    def _presence(self, cluster: str) -> IotPresence:
        region = self.outputs.clusters[cluster].region
        return IotPresence(
            cluster=cluster,
            iot=self.cloud.iot(region),
            iot_data=self.cloud.iot_data(region),
            wait_turn=self._turns(SEARCHES_PER_SECOND),
        )

    def _admission(self, cluster: str) -> tuple[Place, IotAdmission]:
        target = self.outputs.clusters[cluster]
        place = Place(
            cluster=cluster,
            manifest_table=target.manifest_table,
            policy=self.outputs.device_policy_name,
            authorities={
                name: authority.ca_certificate_ids[cluster]
                for name, authority in self.outputs.authorities.items()
                if cluster in authority.ca_certificate_ids
            },
        )
        return place, IotAdmission(
            place=place,
            iot=self.cloud.iot(target.region),
            dynamodb=self.cloud.dynamodb(target.region),
            wait_turn=self._turns(DESCRIBES_PER_SECOND),
        )

    def _turns(self, per_second: float) -> Turns:
        return Turns(per_second=per_second, monotonic=self.monotonic, sleep=self.sleep)
