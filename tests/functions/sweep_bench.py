"""The sweep's own code on a deployed table and zone, and expired redirects to put there."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
from botocore.config import Config

from fleet.routing.applier import Applier
from fleet.routing.dynamodb_route_table import DynamoRouteTable
from fleet.routing.ground import Ground
from fleet.routing.pace import Pace
from fleet.routing.plan import PLAN_VERSION, Change, Header
from fleet.routing.plan_text import TextPlan
from fleet.routing.record_set import project
from fleet.routing.route import Kind
from fleet.routing.route53_zone import Route53Zone
from fleet.routing.sweep_shelf import DynamoSweepShelf
from fleet.routing.target import DEFAULT, Target
from fleet.routing.zone import REQUESTS_PER_SECOND
from fleet.routing.zone_writer import ZoneWriter
from functions.route_sweep import Cloud, Run, Settings, sweep_routes
from local.aws_environment import aws_environment
from local.deployment import Deployment
from protocol.device_id import DeviceId, parse_device_id
from stacks.outputs import Outputs

DESK = Target(address="192.0.2.77")


def no_sleep(_seconds: float) -> None:
    return None


def now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Bench:
    """The function's code on the deployed table and zone, and a way to put expired routes there."""

    desk: Deployment

    @property
    def outputs(self) -> Outputs:
        return self.desk.outputs

    def client(self, service: str, endpoint: str = "") -> Any:
        variables = aws_environment(self.desk.record)
        return boto3.client(  # type: ignore[call-overload]  # the service is a variable here
            service,
            region_name=self.outputs.home_region,
            endpoint_url=endpoint or variables["AWS_ENDPOINT_URL"],
            aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
            config=Config(retries={"total_max_attempts": 1}),
        )

    @property
    def cloud(self) -> Cloud:
        return Cloud(
            dynamodb=self.client("dynamodb"), route53=self.client("route53"), cloudwatch=self.client("cloudwatch")
        )

    @property
    def settings(self) -> Settings:
        return Settings(
            environment=self.outputs.environment,
            domain=self.outputs.domain,
            zone_id=self.outputs.zone_id,
            route_table=self.outputs.routing.route_table,
            clusters={name: each.server_name for name, each in self.outputs.clusters.items()},
        )

    @property
    def table(self) -> DynamoRouteTable:
        return DynamoRouteTable(self.client("dynamodb"), self.settings.route_table)

    @property
    def shelf(self) -> DynamoSweepShelf:
        return DynamoSweepShelf(self.client("dynamodb"), self.settings.route_table)

    def run(self, cloud: Cloud | None = None, *, left: timedelta = timedelta(minutes=5)) -> dict[str, Any]:
        run = Run(holder="tests", deadline=now() + left, clock=now, sleep=no_sleep)
        return sweep_routes(cloud=cloud or self.cloud, settings=self.settings, run=run)

    def redirect(self, *names: str, ends: timedelta = timedelta(minutes=-1)) -> list[DeviceId]:
        """Redirects that end, or ended, so far from now; applied an hour ago by the code that applies any plan."""
        devices = [parse_device_id(name) for name in sorted(names)]
        then, ended = now() - timedelta(hours=1), now() + ends
        plan = TextPlan.of(self._header(then), [self._redirect(device, ended) for device in devices])
        pace = Pace(REQUESTS_PER_SECOND, lambda: then, no_sleep)
        writer = ZoneWriter(zone=Route53Zone(self.client("route53"), self.settings.zone_id), pace=pace, sleep=no_sleep)
        applier = Applier(
            ground=self._ground, table=self.table, writer=writer, clock=lambda: then, sleep=no_sleep, holder="engineer"
        )
        applier.apply(plan)
        assert {name: self.addresses(name) for name in devices} == {name: [DESK.address] for name in devices}
        return devices

    def addresses(self, device: str) -> list[str]:
        """What stands at the device's own name in the zone."""
        name = f"{device}.gw.{self.outputs.domain}"
        page = Route53Zone(self.client("route53"), self.settings.zone_id).page(name)
        return [value for each in page.record_sets if each.name == name for value in each.values]

    @property
    def _ground(self) -> Ground:
        settings = self.settings
        return Ground(
            environment=settings.environment,
            domain=settings.domain,
            zone_id=settings.zone_id,
            route_table=settings.route_table,
            clusters=settings.clusters,
            pins=(),
        )

    def _header(self, made_at: datetime) -> Header:
        return Header(
            version=PLAN_VERSION,
            environment=self.settings.environment,
            domain=self.settings.domain,
            zone_id=self.settings.zone_id,
            route_table=self.settings.route_table,
            clusters=dict(self.settings.clusters),
            made_by="engineer",
            made_at=made_at,
            request="debug",
            approved_by="",
            undoes="",
        )

    def _redirect(self, device: DeviceId, expires: datetime) -> Change:
        records = project(device, DESK, self.settings.domain)
        assert records is not None
        return Change(
            device=device,
            revision=1,
            before=DEFAULT,
            after=DESK,
            removes=(),
            creates=(records,),
            kind=Kind.DEBUG,
            owner="firmware-team",
            reason="looks at a radio",
            expires=expires,
            returns_to=DEFAULT,
        )

    def told(self, metric: str) -> tuple[int, int]:
        """How often CloudWatch was told of a metric so far, and the sum of it."""
        statistics = self.client("cloudwatch").get_metric_statistics(
            Namespace="Flotilla",
            MetricName=metric,
            Dimensions=[{"Name": "Environment", "Value": self.settings.environment}],
            StartTime=now() - timedelta(hours=2),
            EndTime=now() + timedelta(minutes=2),
            Period=60,
            Statistics=["SampleCount", "Sum"],
        )
        points = statistics["Datapoints"]
        return int(sum(each["SampleCount"] for each in points)), int(sum(each["Sum"] for each in points))
