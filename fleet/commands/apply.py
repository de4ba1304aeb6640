"""`python -m fleet route apply`: carry out a plan, or go on with one that was begun."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from fleet.cloud import Cloud
from fleet.commands.consent import Yes, ask
from fleet.commands.follow_options import (
    DEFAULT_ARRIVE_WITHIN,
    DEFAULT_LOOK_EVERY,
    DEFAULT_PRESENCE_LAG,
    DEFAULT_SETTLE,
    DEFAULT_STABLE,
    ArriveWithin,
    Follow,
    LookEvery,
    PresenceLag,
    Settle,
    Stable,
    seconds,
    waits_of,
)
from fleet.commands.follow_telling import follow_bar, followed_facts, tell_followed
from fleet.commands.progress import counted
from fleet.commands.telling import errors_told
from fleet.move import Mover
from fleet.routing.applier import Applied, Applier
from fleet.routing.plan_file import Plan, read_plan
from fleet.routing.zone import MAX_BATCH_RECORDS
from fleet.zone_applier import zone_applier
from provisioning.commands.options import AsJson, Stack, now, outputs_of
from provisioning.commands.telling import FAILED, tell

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
    follow: Follow = True,
    arrive_within: ArriveWithin = DEFAULT_ARRIVE_WITHIN,
    settle: Settle = DEFAULT_SETTLE,
    stable: Stable = DEFAULT_STABLE,
    presence_lag: PresenceLag = DEFAULT_PRESENCE_LAG,
    look_every: LookEvery = DEFAULT_LOOK_EVERY,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Make exactly the plan's changes, and follow its devices until they have arrived or are moved back.

    May be stopped anywhere; a rerun goes on, and of a plan that is done says so. Exit code 1 when a device was moved
    back.
    """
    with errors_told():
        known = outputs_of(stack, outputs)
        plan = read_plan(plan_file)
        waits = waits_of(arrive_within, settle=settle, stable=stable, presence_lag=presence_lag)
        cloud = Cloud.from_environment()
        applier = zone_applier(known, cloud, clock=now, largest=largest_batch)
        mover = Mover(
            outputs=known, cloud=cloud, table=applier.table, clock=now, waits=waits, look_every=seconds(look_every)
        )
        carry_out(plan, applier, mover, follow=follow, yes=yes, as_json=as_json)


def carry_out(
    plan: Plan,
    applier: Applier,
    mover: Mover,
    *,
    follow: bool,
    yes: bool,
    as_json: bool,
    first: Mapping[str, Any] | None = None,
) -> None:
    """Ask the targets and a person, change the zone, follow the devices, and tell. `first`: what is told before."""
    if not is_begun(plan, applier):
        mover.refuse_unadmitted(plan)
        ask(plan, yes=yes)
    applied = {**(first or {}), **facts(apply_zone(plan, applier))}
    if not follow:
        tell(applied, as_json=as_json)
        return
    with follow_bar() as bar:
        followed = mover.follow(plan, made_by=applier.holder, apply_zone=applier.apply, on_progress=bar)
    tell({**applied, **followed_facts(followed)} if as_json else applied, as_json=as_json)
    if not as_json:
        tell_followed(followed)
    if followed.returned:
        raise typer.Exit(FAILED)


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
