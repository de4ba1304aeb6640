"""`python -m fleet route sweep`: take back every redirect whose time is over, and what its gateway had in the cloud."""

from pathlib import Path
from typing import Annotated

import typer

from fleet.commands.route_desk import RouteDesk
from fleet.commands.telling import errors_told
from fleet.errors import UnfinishedError
from fleet.gateway.identity import remove_identity, standing_identities
from fleet.gateway.opening import identity_place
from fleet.routing.plan import Change
from fleet.routing.sweep import sweep as take_back
from fleet.routing.sweep import sweep_changes
from protocol.device_id import DeviceId
from provisioning.commands.options import AsJson, Stack, now
from provisioning.commands.telling import tell_rows


def sweep(
    stack: Stack,
    outputs: Annotated[Path, typer.Option(help="What the deployment gave: pulumi stack output --json.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Send home every device whose redirect has expired; a rerun finishes one that was cut short."""
    with errors_told():
        desk = RouteDesk.of(stack, outputs)
        ground = desk.ground
        if dry_run:
            moment = now()
            shelved = desk.shelf.read()
            waiting = [] if shelved is None else list(shelved.changes())
            changes = [*waiting, *sweep_changes(desk.table.expired(moment), ground)]
            left: dict[DeviceId, str] = {}
        else:
            swept = take_back(ground, desk.table, desk.shelf, desk.apply, holder=desk.holder, clock=now)
            changes, left = list(swept.changes), dict(swept.left)
        rows = [_row(change, "would go home" if dry_run else "sent home") for change in changes]
        rows += [_left_row(device, why) for device, why in sorted(left.items())]
        rows += _gateways(desk, dry_run=dry_run)
        tell_rows("swept", rows, as_json=as_json)
        if left:
            raise UnfinishedError(
                f"{len(left)} expired and could not be taken back: {', '.join(sorted(left)[:5])}; "
                f"`route check` says what stands in their way"
            )


def _gateways(desk: RouteDesk, *, dry_run: bool) -> list[dict[str, str]]:
    """Identities of gateways whose time is over; one without a stated end counts as over."""
    rows = []
    for cluster in sorted(desk.outputs.clusters):
        place = identity_place(desk.outputs, cluster, desk.cloud)
        for identity in list(standing_identities(place)):
            if identity.expires is not None and identity.expires > now():
                continue
            if not dry_run:
                remove_identity(place, identity.device)
            result = "would be removed" if dry_run else "removed"
            rows.append({"device": identity.device, "from": f"gateway in {cluster}", "to": "", "result": result})
    return rows


def _row(change: Change, result: str) -> dict[str, str]:
    return {"device": change.device, "from": str(change.before), "to": str(change.after), "result": result}


def _left_row(device: str, why: str) -> dict[str, str]:
    return {"device": device, "from": "", "to": "", "result": f"left: {why}"}
