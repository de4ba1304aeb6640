"""Starts a function of ours again and again."""

import pulumi
import pulumi_aws as aws

from components.function import Function
from components.naming import Naming

EVENTS_SERVICE = "events.amazonaws.com"


def run_regularly(
    name: str,
    function: Function,
    *,
    thing: str,
    description: str,
    rate: str,
    naming: Naming,
    region: str,
    tags: dict[str, str],
    parent: pulumi.Resource,
) -> None:
    """A schedule that may start `function`, as children of `parent` called after `name`.

    `rate`: an EventBridge expression, as `rate(1 day)`.
    """
    child = pulumi.ResourceOptions(parent=parent)
    schedule = aws.cloudwatch.EventRule(
        f"{name}-schedule",
        name=naming.name(thing),
        description=description,
        region=region,
        schedule_expression=rate,
        tags=tags,
        opts=child,
    )
    permission = aws.lambda_.Permission(
        f"{name}-permission",
        statement_id=_statement_id(rate),
        action="lambda:InvokeFunction",
        function=function.function_arn,
        region=region,
        principal=EVENTS_SERVICE,
        source_account=naming.account_id,
        source_arn=schedule.arn,
        opts=child,
    )
    aws.cloudwatch.EventTarget(
        f"{name}-target",
        rule=schedule.name,
        target_id=thing,
        arn=function.function_arn,
        region=region,
        opts=pulumi.ResourceOptions(parent=parent, depends_on=[permission]),
    )


def _statement_id(rate: str) -> str:
    """`rate(1 day)` reads `every-day`, `rate(5 minutes)` reads `every-5-minutes`."""
    number, unit = rate.removeprefix("rate(").removesuffix(")").split()
    return f"every-{unit}" if number == "1" else f"every-{number}-{unit}"
