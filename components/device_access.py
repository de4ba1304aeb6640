"""What devices may do in a cluster's region, and the kinds of device there are (design decision 6)."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.naming import Naming
from components.policies.device import device_policy
from components.policy_text import policy_text
from stacks.environment import HardwareModel

SEARCHABLE_ATTRIBUTES = ("authority", "model", "serial")
"""What the registrar writes on each thing; AWS IoT takes three per thing type and never lets them change."""


@dataclass(frozen=True, kw_only=True)
class DeviceAccessArgs:
    """Which region, and the hardware catalogue."""

    naming: Naming
    region: str
    models: Mapping[str, HardwareModel]


class DeviceAccess(pulumi.ComponentResource):
    """The IoT policy of devices, a group of things that carries it, and a thing type per hardware model."""

    policy_name: str
    group_name: str

    def __init__(self, name: str, args: DeviceAccessArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("flotilla:index:DeviceAccess", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.policy_name = args.naming.name("device")
        self.group_name = args.naming.name("devices")
        policy = aws.iot.Policy(
            f"{name}-policy",
            name=self.policy_name,
            policy=policy_text(device_policy, region=args.region, account_id=args.naming.account_id),
            region=args.region,
            tags=args.naming.tags(name),
            opts=child,
        )
        group = aws.iot.ThingGroup(
            f"{name}-group",
            name=self.group_name,
            properties=aws.iot.ThingGroupPropertiesArgs(description="Devices registered ahead of their first connect"),
            region=args.region,
            tags=args.naming.tags(name),
            opts=child,
        )
        # One policy for the group saves whoever registers a device the slowest call of all.
        aws.iot.PolicyAttachment(
            f"{name}-group-policy", policy=policy.name, target=group.arn, region=args.region, opts=child
        )
        for model, hardware in args.models.items():
            aws.iot.ThingType(
                f"{name}-{model}",
                name=model,
                properties=aws.iot.ThingTypePropertiesArgs(
                    description=f"{hardware.vendor}: {hardware.soc}, {hardware.modem}",
                    searchable_attributes=list(SEARCHABLE_ATTRIBUTES),
                ),
                region=args.region,
                tags=args.naming.tags(name),
                opts=child,
            )
        self.register_outputs({"policy_name": self.policy_name, "group_name": self.group_name})
