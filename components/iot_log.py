"""The log AWS IoT keeps in a region: refused connections, rule failures, jobs."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.naming import Naming
from components.policies.logs import IOT_LOG_GROUP, iot_logging_policy
from components.policies.trust import iot_logging_trust
from components.policy_text import policy_text

LEVEL = "WARN"
"""What goes wrong. INFO logs every publish of every device, which would cost more than the publishes."""
RETENTION_DAYS = 90  # as long as the functions' own logs, so that a story can be read in both


@dataclass(frozen=True, kw_only=True)
class IotLogArgs:
    """Whose log."""

    naming: Naming
    tags: dict[str, str]
    cluster: str
    region: str


class IotLog(pulumi.ComponentResource):
    """The log group, the role AWS IoT writes it with, and the level."""

    def __init__(self, name: str, args: IotLogArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("flotilla:index:IotLog", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        place = {"region": args.region, "account_id": args.naming.account_id}
        group = aws.cloudwatch.LogGroup(
            f"{name}-group",
            name=IOT_LOG_GROUP,
            region=args.region,
            retention_in_days=RETENTION_DAYS,
            tags=args.tags,
            opts=child,
        )
        role = aws.iam.Role(
            f"{name}-role",
            name=args.naming.name("iot-log", cluster=args.cluster),
            description="AWS IoT writes its log",
            assume_role_policy=policy_text(iot_logging_trust, **place),
            tags=args.tags,
            opts=child,
        )
        permission = aws.iam.RolePolicy(
            f"{name}-policy",
            name="iot-log",
            role=role.name,
            policy=policy_text(iot_logging_policy, **place),
            opts=child,
        )
        aws.iot.LoggingOptions(
            f"{name}-options",
            default_log_level=LEVEL,
            role_arn=role.arn,
            region=args.region,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[group, permission]),
        )
        self.register_outputs({})
