"""`python -m fleet route rollback`: take a plan back, as far as it was carried out and nobody changed it since."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from fleet.cloud import Cloud
from fleet.commands.apply import LargestBatch, carry_out
from fleet.commands.consent import Yes, ask_to_stop
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
from fleet.commands.telling import errors_told
from fleet.errors import RefusedError
from fleet.move import Mover
from fleet.routing.applier import Applier
from fleet.routing.plan_file import Plan, read_plan, write_plan
from fleet.routing.rollback import Rollback
from fleet.routing.route_table import PlanProgress
from fleet.routing.zone import MAX_BATCH_RECORDS
from fleet.zone_applier import zone_applier
from provisioning.commands.options import AsJson, Stack, now, outputs_of

SUFFIX = ".rollback"
"""Beside the plan: a rerun finds the rollback it began."""


def rollback(
    plan_file: Annotated[Path, typer.Argument(metavar="PLAN", help="The plan to take back.")],
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
    """Send the plan's devices back where they were, and follow them there. An unfinished plan is stopped first.

    The rollback is a plan of its own, PLAN.rollback, and may be killed and run again like any other. Devices that
    another plan has changed since stay as they are, and are named.
    """
    with errors_told():
        known = outputs_of(stack, outputs)
        plan = read_plan(plan_file)
        waits = waits_of(arrive_within, settle=settle, stable=stable, presence_lag=presence_lag)
        cloud = Cloud.from_environment()
        applier = zone_applier(known, cloud, clock=now, largest=largest_batch)
        back, facts = rollback_of(plan, applier, yes=yes)
        mover = Mover(
            outputs=known, cloud=cloud, table=applier.table, clock=now, waits=waits, look_every=seconds(look_every)
        )
        carry_out(back, applier, mover, follow=follow, yes=yes, as_json=as_json, first=facts)


def rollback_of(plan: Plan, applier: Applier, *, yes: bool) -> tuple[Plan, dict[str, Any]]:
    """The rollback that was begun, or a new one, and what is told of it. `RefusedError` when nothing is left to do."""
    path = plan.path.with_name(plan.path.name + SUFFIX)
    if path.exists():
        begun = read_plan(path)
        if begun.header.undoes != plan.digest:
            raise RefusedError(f"{path}: is the rollback of another plan; move it away first")
        if applier.table.read_plan(begun.digest) is not None:
            return begun, {}
    entry = applier.table.read_plan(plan.digest)
    if entry is not None and entry.progress is PlanProgress.BEGUN:
        ask_to_stop(plan, yes=yes)
    applier.stop(plan)
    rolled = Rollback(plan=plan, table=applier.table, now=now())
    header = replace(
        plan.header,
        clusters=dict(applier.ground.clusters),
        made_by=applier.holder,
        made_at=now(),
        request=f"roll back plan {plan.digest[:12]}",
        undoes=plan.digest,
    )
    if next(rolled.changes(), None) is None:
        raise RefusedError(f"{plan.path}: nothing of it stands any more; there is nothing to roll back")
    rolled = Rollback(plan=plan, table=applier.table, now=header.made_at)
    back = write_plan(path, header, rolled.changes())
    named = dict(sorted(rolled.named.items()))
    return back, {
        "rolls_back": plan.digest,
        "never_done": rolled.never_done,
        "changed_since": rolled.changed_since,
        **({"changed_since_by": named} if named else {}),
    }
