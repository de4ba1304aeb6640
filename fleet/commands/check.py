"""`python -m fleet route check`: whether table, zone and resolvers say the same, and the repair where they do not.

Exit codes: 0 nothing was found, or nothing is left after a repair; 1 findings remain, or something could not be asked;
2 the request must change first.
"""

import getpass
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from fleet.cloud import Cloud
from fleet.commands.apply import apply_zone
from fleet.commands.check_telling import tell, tell_as_json
from fleet.commands.consent import Yes, ask
from fleet.commands.progress import counted
from fleet.commands.resolver_option import AskedResolver, NoResolver, resolver_of
from fleet.commands.telling import errors_told
from fleet.deployment import ground_of, places_of
from fleet.errors import RefusedError
from fleet.inspection import ASKED, FleetInspection, Inspected
from fleet.plan_place import check_not_begun, standing_plan
from fleet.routing.applier import Applier
from fleet.routing.plan import PLAN_VERSION, Header
from fleet.routing.plan_file import Plan, write_plan
from fleet.routing.resolver import Resolver
from fleet.zone_applier import zone_applier
from provisioning.commands.options import AsJson, Stack, now, outputs_of
from provisioning.commands.telling import FAILED
from stacks.outputs import Outputs

REQUEST = "check --repair"
"""How the plan of a repair says what it is."""


def check(
    *,
    stack: Stack,
    outputs: Annotated[Path, typer.Option(help="What the deployment gave: pulumi stack output --json.")],
    resolver: AskedResolver = None,
    no_resolver: NoResolver = False,
    sample: Annotated[
        int, typer.Option(min=1, help="Ask the DNS server about so many devices with a record of their own.")
    ] = ASKED,
    repair: Annotated[bool, typer.Option("--repair", help="Make the zone say what the table says.")] = False,
    out: Annotated[Path | None, typer.Option(help="With --repair: where its plan goes.")] = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Compare the route table, the pins, the zone and a DNS server. 0: all agree. 1: findings remain."""
    with errors_told():
        if repair and out is None:
            raise RefusedError("--repair writes a plan before it changes anything; say where with --out")
        known = outputs_of(stack, outputs)
        applier = zone_applier(known, Cloud.from_environment(), clock=now)
        if out is not None:
            _check_place(out, known, applier)
        inspection = _inspection(known, applier, resolver_of(known, resolver, none=no_resolver), sample)
        inspected, plan = _inspect(inspection, known, out if repair else None)
        repaired = plan is not None and plan.count > 0
        if plan is not None and repaired:
            if not as_json:
                tell(inspected, plan=plan, repaired=False)
            ask(plan, yes=yes)
            apply_zone(plan, applier)
            # Looked at again rather than believed; resolvers may still hold what was there for one TTL.
            inspected, _ = _inspect(replace(inspection, resolver=None), known, None)
        if as_json:
            tell_as_json(inspected, plan=plan, repaired=repaired)
        else:
            tell(inspected, plan=None, repaired=repaired)
    if inspected.findings:
        raise typer.Exit(FAILED)


def _check_place(out: Path, outputs: Outputs, applier: Applier) -> None:
    """A repair takes the place of a former one: each is made from what stands, and the next mends what is left."""
    standing = standing_plan(out, outputs.environment)
    if standing is not None and standing.header.request != REQUEST:
        check_not_begun(standing, applier.table.read_plan)


def _inspection(outputs: Outputs, applier: Applier, resolver: Resolver | None, sample: int) -> FleetInspection:
    return FleetInspection(
        places=places_of(outputs),
        table=applier.table,
        page=applier.writer.page,
        resolver=resolver,
        sample_size=sample,
        owner=applier.holder,
        clock=now,
    )


def _inspect(inspection: FleetInspection, outputs: Outputs, out: Path | None) -> tuple[Inspected, Plan | None]:
    """Inspect, and write the plan of the repair to `out`, if any."""
    inspected = Inspected()
    with counted("names", None) as advance:
        changes = inspection.run(inspected, advance)
        if out is not None:
            return inspected, write_plan(out, _header(outputs), changes)
        for _ in changes:
            pass
    return inspected, None


def _header(outputs: Outputs) -> Header:
    ground = ground_of(outputs)
    return Header(
        version=PLAN_VERSION,
        environment=ground.environment,
        domain=ground.domain,
        zone_id=ground.zone_id,
        route_table=ground.route_table,
        clusters=dict(sorted(ground.clusters.items())),
        made_by=getpass.getuser(),
        made_at=now(),
        request=REQUEST,
        approved_by="",
        undoes="",
    )
