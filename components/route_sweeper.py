"""Ends redirects that have expired, whether or not anybody remembers them: a function on a schedule, at home."""

import json
from collections.abc import Iterable
from dataclasses import dataclass

import pulumi

from components.function import Function, FunctionArgs
from components.naming import Naming
from components.policies.routing import route_sweep_policy
from components.route_table import RouteTable
from components.schedule import run_regularly
from protocol.hostnames import cluster_hostname

EVERY_FIVE_MINUTES = "rate(5 minutes)"
"""A redirect is asked for in hours, so five minutes more are little; and a sweep, which waits for Route 53 about a
minute, is mostly over when the next begins. A run that finds nothing costs three reads."""
TIMEOUT_SECONDS = 300
"""The time between two runs: long enough for Route 53 to come into sync several times (about 60 s each)."""


@dataclass(frozen=True, kw_only=True)
class RouteSweeperArgs:
    """The routes of one environment, and the zone they are in."""

    naming: Naming
    home_region: str
    domain: str
    zone_id: pulumi.Input[str]
    routes: RouteTable
    clusters: Iterable[str]


class RouteSweeper(pulumi.ComponentResource):
    """The function, and the schedule that starts it."""

    function_name: str

    def __init__(self, name: str, args: RouteSweeperArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("flotilla:index:RouteSweeper", name, None, opts)
        tags = args.naming.tags(name)
        server_names = {cluster: cluster_hostname(cluster, args.domain) for cluster in sorted(args.clusters)}
        function = Function(
            f"{name}-sweep",
            FunctionArgs(
                naming=args.naming,
                tags=tags,
                cluster=None,
                region=args.home_region,
                module="route_sweep",
                description="Takes redirects back that have expired",
                environment={
                    "ENVIRONMENT": args.naming.environment,
                    "DOMAIN": args.domain,
                    "ZONE_ID": args.zone_id,
                    "ROUTE_TABLE": args.routes.table_name,
                    "CLUSTERS": json.dumps(server_names),
                },
                policy=route_sweep_policy,
                policy_inputs={
                    "table_arn": args.routes.table_arn,
                    "zone_id": args.zone_id,
                    "domain": args.domain,
                },
                timeout_seconds=TIMEOUT_SECONDS,
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.function_name = function.function_name
        run_regularly(
            name,
            function,
            thing="route-sweep",
            description="Every five minutes, take redirects back that have expired",
            rate=EVERY_FIVE_MINUTES,
            naming=args.naming,
            region=args.home_region,
            tags=tags,
            parent=self,
        )
        self.register_outputs({"function_name": self.function_name})
