"""Counts, once a day, the days every CA certificate of a cluster has left; an alarm reads the count."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi

from components.function import Function, FunctionArgs
from components.naming import Naming
from components.policies.monitoring import authority_expiry_policy
from components.schedule import run_regularly

EVERY_DAY = "rate(1 day)"


@dataclass(frozen=True, kw_only=True)
class ExpiryWatchArgs:
    """The CAs of one cluster."""

    naming: Naming
    tags: dict[str, str]
    cluster: str
    region: str
    ca_certificate_ids: Mapping[str, pulumi.Input[str]]
    """Authority to the id of its CA here."""


class ExpiryWatch(pulumi.ComponentResource):
    """The function, and the schedule that starts it."""

    function_name: str

    def __init__(self, name: str, args: ExpiryWatchArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("flotilla:index:ExpiryWatch", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        function = Function(
            f"{name}-count",
            FunctionArgs(
                naming=args.naming,
                tags=args.tags,
                cluster=args.cluster,
                region=args.region,
                module="authority_expiry",
                description="Publishes the days every CA certificate has left",
                environment={
                    "AUTHORITIES": pulumi.Output.json_dumps(dict(sorted(args.ca_certificate_ids.items()))),
                    "ENVIRONMENT": args.naming.environment,
                },
                policy=authority_expiry_policy,
                policy_inputs={},
            ),
            child,
        )
        self.function_name = function.function_name
        run_regularly(
            name,
            function,
            thing="authority-expiry",
            description="Once a day, count the days CA certificates have left",
            rate=EVERY_DAY,
            naming=args.naming,
            region=args.region,
            tags=args.tags,
            parent=self,
        )
        self.register_outputs({"function_name": self.function_name})
