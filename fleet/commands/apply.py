"""`python -m fleet route apply`: carry out a plan, or go on with one that was begun."""

from pathlib import Path
from typing import Annotated

import typer

from fleet.cloud import Cloud
from fleet.commands.consent import Yes, ask
from fleet.commands.progress import counted
from fleet.commands.telling import errors_told
from fleet.routing.applier import Applied, Applier
from fleet.routing.plan import Plan
from fleet.routing.plan_file import read_plan
from fleet.routing.zone import MAX_BATCH_RECORDS
from fleet.zone_applier import zone_applier
from provisioning.commands.options import AsJson, Stack, now, outputs_of
from provisioning.commands.telling import tell

LargestBatch = Annotated[
    int,
    typer.Option(min=1, max=MAX_BATCH_RECORDS, help="Devices changed in one step, where fewer than fit are wanted."),
]


def apply(
    plan_file: Annotated[Path, typer.Argument(metavar="PLAN", help="What `route plan` wrote.")],
    *,
    stack: Stack,
    outputs: Annotated[Path, typer.Option(help="What the deployment gave: pulumi stack output --json.")],
    largest_batch: LargestBatch = MAX_BATCH_RECORDS,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Make exactly the plan's changes. May be stopped anywhere; a rerun goes on, and of a plan that is done says so."""
    with errors_told():
        known = outputs_of(stack, outputs)
        plan = read_plan(plan_file)
        applier = zone_applier(known, Cloud.from_environment(), clock=now, largest=largest_batch)
        if not is_begun(plan, applier):
            ask(plan, yes=yes)
        tell(facts(apply_zone(plan, applier)), as_json=as_json)


def is_begun(plan: Plan, applier: Applier) -> bool:
    """Whether somebody has said yes to it before."""
    return applier.table.read_plan(plan.digest) is not None


def apply_zone(plan: Plan, applier: Applier) -> Applied:
    """The zone part of a plan, with progress: its names lead where it says, and Route 53 has said so."""
    with counted(f"plan {plan.digest[:12]}", plan.count) as advance:
        return applier.apply(plan, advance)


def facts(applied: Applied) -> dict[str, object]:
    """What is told of a plan that was carried out."""
    return {
        "plan": applied.plan,
        "result": "was carried out before; nothing was done" if applied.was_done else "carried out",
        "changes": applied.changes,
        "batches": applied.batches,
        "requests_to_route_53": applied.requests,
    }
