"""A Lambda function of ours, with a role of its own and a log that does not grow for ever."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from components.naming import Naming
from components.policies.statement import Document
from components.policies.trust import function_trust
from components.policy_text import policy_text

RUNTIME = "python3.13"
"""Amazon Linux 2023, until 2029-06-30. python3.11 has Amazon Linux 2, whose C library is too old for cbor2's wheels."""
ARCHITECTURE = "x86_64"
ARCHIVES = "build/functions/aws"
"""Where `make lambda` puts one archive a function, relative to the project."""
LOG_RETENTION_DAYS = 90  # long enough to look back over a slow rollout (design decision 9)
MEMORY_MIB = 256  # Lambda gives a share of a processor by memory; below this, importing boto3 takes seconds
TIMEOUT_SECONDS = 30  # for a function that answers an event; one that waits for AWS says how long
RETRIES = 2  # Lambda's default for asynchronous events, said here because the dead letter queue comes after it


@dataclass(frozen=True, kw_only=True)
class FunctionArgs:
    """One function of `functions/` in one region."""

    naming: Naming
    tags: dict[str, str]
    cluster: str | None
    """None for what an environment has once: its role's name needs no cluster in it."""
    region: str
    module: str
    """The module's name in `functions/`: also the archive's, and with hyphens the physical name."""
    description: str
    environment: Mapping[str, pulumi.Input[str]]
    policy: Callable[..., Document]
    """Makes the role's policy; takes `function`, `region`, `account_id` and what `policy_inputs` adds."""
    policy_inputs: Mapping[str, Any]
    dead_letter_queue_arn: pulumi.Input[str] | None = None
    """Where an event goes that the function failed on every time; its policy must allow it."""
    timeout_seconds: int = TIMEOUT_SECONDS
    memory_mib: int = MEMORY_MIB


class Function(pulumi.ComponentResource):
    """Log group, role and function; the function starts only when both others are there."""

    function_name: str
    function_arn: pulumi.Output[str]
    permission: aws.iam.RolePolicy
    """What its role may do; who has it read something waits for this."""

    def __init__(self, name: str, args: FunctionArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("flotilla:index:Function", name, None, opts)
        thing = args.module.replace("_", "-")
        self.function_name = args.naming.name(thing)
        child = pulumi.ResourceOptions(parent=self)
        place = {"region": args.region, "account_id": args.naming.account_id}
        log_group = aws.cloudwatch.LogGroup(
            f"{name}-log",
            name=f"/aws/lambda/{self.function_name}",
            region=args.region,
            retention_in_days=LOG_RETENTION_DAYS,
            tags=args.tags,
            opts=child,
        )
        role = aws.iam.Role(
            f"{name}-role",
            name=args.naming.name(thing, cluster=args.cluster),
            description=args.description,
            assume_role_policy=policy_text(function_trust, account_id=args.naming.account_id),
            tags=args.tags,
            opts=child,
        )
        self.permission = permission = aws.iam.RolePolicy(
            f"{name}-policy",
            name=thing,
            role=role.name,
            policy=policy_text(args.policy, function=self.function_name, **place, **args.policy_inputs),
            opts=child,
        )
        function = aws.lambda_.Function(
            f"{name}-function",
            name=self.function_name,
            description=args.description,
            region=args.region,
            role=role.arn,
            runtime=RUNTIME,
            architectures=[ARCHITECTURE],
            handler=f"functions.{args.module}.handler",
            code=pulumi.FileArchive(f"{ARCHIVES}/{args.module}.zip"),
            memory_size=args.memory_mib,
            timeout=args.timeout_seconds,
            environment=aws.lambda_.FunctionEnvironmentArgs(variables=dict(args.environment)),
            tags=args.tags,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[log_group, permission]),
        )
        self.function_arn = function.arn
        if args.dead_letter_queue_arn is not None:
            failure = aws.lambda_.FunctionEventInvokeConfigDestinationConfigOnFailureArgs(
                destination=args.dead_letter_queue_arn
            )
            aws.lambda_.FunctionEventInvokeConfig(
                f"{name}-retries",
                function_name=function.name,
                region=args.region,
                maximum_retry_attempts=RETRIES,
                destination_config=aws.lambda_.FunctionEventInvokeConfigDestinationConfigArgs(on_failure=failure),
                opts=child,
            )
        self.register_outputs({"function_name": self.function_name, "function_arn": self.function_arn})
