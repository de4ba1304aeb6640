"""`python -m fleet route plan`: what would change, who is refused and why, how long it takes, what it costs."""

import getpass
from collections.abc import Collection, Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from fleet.commands.plan_request import Options, expiry_of, request_of
from fleet.commands.plan_telling import tell, tell_as_json
from fleet.commands.telling import errors_told
from fleet.deployment import places_of
from fleet.plan_making import Terms, World, make_plan
from fleet.routing.dynamodb_route_table import DynamoRouteTable
from fleet.routing.manifest_scan import found_devices, listed_devices
from fleet.routing.plan import PLAN_VERSION, Header
from fleet.routing.planner import Limits
from fleet.routing.requests import MAX_TEXT_CHARACTERS, Defaults
from fleet.routing.route import Kind
from protocol.device_id import DeviceId
from provisioning.cloud import Cloud
from provisioning.commands.options import AsJson, Stack, now, outputs_of
from provisioning.commands.telling import REFUSED
from stacks.environment import Residency
from stacks.outputs import Outputs


def plan(
    file: Annotated[
        Path | None, typer.Argument(help="CSV: device,target and perhaps kind,owner,reason,expires.")
    ] = None,
    *,
    stack: Stack,
    outputs: Annotated[Path, typer.Option(help="What the deployment gave: pulumi stack output --json.")],
    out: Annotated[Path, typer.Option(help="Where the plan goes.")],
    device: Annotated[str | None, typer.Option(help="One device.")] = None,
    to: Annotated[
        list[str] | None, typer.Option("--to", help="A cluster, or `default`; of a drain: who takes over, repeatable.")
    ] = None,
    drain: Annotated[str | None, typer.Option(help="Empty this cluster.")] = None,
    percent: Annotated[float | None, typer.Option(help="Of the drained cluster's devices.")] = None,
    allocate: Annotated[Path | None, typer.Option(help="A policy file: the whole fleet goes where it says.")] = None,
    fleet: Annotated[
        Path | None, typer.Option(help="CSV of the fleet: device and perhaps model,country,residency.")
    ] = None,
    owner: Annotated[str | None, typer.Option(help="The team that answers for it; default: who runs this.")] = None,
    reason: Annotated[str | None, typer.Option(help="Why; default: this request.")] = None,
    kind: Annotated[Kind, typer.Option(help="Of rows that do not say.")] = Kind.MOVE,
    expires: Annotated[str | None, typer.Option(help="When it ends, such as 2026-12-31T18:00:00Z.")] = None,
    returns_to: Annotated[str, typer.Option(help="With --device: where it goes then.")] = "",
    approved_by: Annotated[str, typer.Option(help="Who answers for data that leaves its residency.")] = "",
    yes_really: Annotated[int | None, typer.Option(help="Exactly how many devices change, where it is many.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="One refused device refuses the plan.")] = False,
    max_connections: Annotated[
        int | None, typer.Option(min=1, help="A cluster's quota, if not as the stack file states it.")
    ] = None,
    max_connects_per_second: Annotated[
        int | None, typer.Option(min=1, help="A cluster's CONNECT quota, if not as the stack file states it.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a plan: what would change in the zone and the route table. Nothing is changed."""
    with errors_told():
        known = outputs_of(stack, outputs)
        options = Options(
            file=file,
            device=device,
            to=tuple(to or ()),
            drain=drain,
            percent=percent,
            allocate=allocate,
            returns_to=returns_to,
        )
        request, words = request_of(known, options)
        at = now()
        terms = Terms(
            defaults=Defaults(
                kind=kind,
                owner=owner or getpass.getuser(),
                reason=reason or f"route plan {words}"[:MAX_TEXT_CHARACTERS],
                expires=expiry_of(expires, at),
            ),
            limits=Limits(
                max_share_percent=known.routing.max_share_percent,
                yes_really=yes_really,
                max_connections=max_connections,
                max_connects_per_second=max_connects_per_second,
            ),
            approved_by=approved_by,
            is_strict=strict,
            now=at,
        )
        made = make_plan(request, _world(known, fleet), terms, _header(known, words, approved_by, at), out)
    following = f"python -m fleet route apply {out} --stack {stack} --outputs {outputs}"
    (tell_as_json if as_json else tell)(made, following)
    if made.plan is None and made.tally.refused:
        raise typer.Exit(REFUSED)


def _world(outputs: Outputs, roster: Path | None) -> World:
    cloud = Cloud.from_environment()

    def listed(cluster: str) -> Iterator[tuple[str, str]]:
        known = outputs.clusters[cluster]
        return listed_devices(cloud.dynamodb(known.region), known.manifest_table)

    def found(cluster: str, devices: Collection[DeviceId]) -> Iterator[tuple[str, str]]:
        known = outputs.clusters[cluster]
        return found_devices(cloud.dynamodb(known.region), known.manifest_table, devices)

    return World(
        places=places_of(outputs),
        residencies=tuple(Residency),
        table=DynamoRouteTable(cloud.dynamodb(outputs.home_region), outputs.routing.route_table),
        listed=listed,
        found=found,
        roster=roster,
    )


def _header(outputs: Outputs, words: str, approved_by: str, at: datetime) -> Header:
    return Header(
        version=PLAN_VERSION,
        environment=outputs.environment,
        domain=outputs.domain,
        zone_id=outputs.zone_id,
        route_table=outputs.routing.route_table,
        clusters={name: cluster.server_name for name, cluster in sorted(outputs.clusters.items())},
        made_by=getpass.getuser(),
        made_at=at,
        request=words,
        approved_by=approved_by,
        undoes="",
    )
