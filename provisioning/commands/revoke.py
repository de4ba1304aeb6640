"""`python -m provisioning revoke`: take a device's identity back."""

from typing import Annotated

import typer

from provisioning.commands.clusters import tell_clusters
from provisioning.commands.options import AsJson, Device, Factory, OutputsFile, Stack, moment, now, outputs_of
from provisioning.commands.telling import errors_told, tell
from provisioning.crl.note import with_since
from provisioning.ledger.ledger import Ledger
from provisioning.ledger.records import Reason
from provisioning.order import checked_device
from provisioning.signed_entry import station_voucher
from provisioning.sync import plan_sync


def revoke(
    *,
    stack: Stack,
    device: Device,
    reason: Annotated[Reason, typer.Option(help="Why, as certificate revocation lists say it (RFC 5280).")],
    factory: Factory,
    note: Annotated[str, typer.Option(help="In your own words, for who reads the ledger later.")] = "",
    since: Annotated[
        str | None, typer.Option(help="Since when the key is not to be trusted, such as 2026-11-20T08:00:00Z.")
    ] = None,
    outputs: OutputsFile = None,
    as_json: AsJson = False,
) -> None:
    """Take the identity back: in the ledger, then in every cluster. Offline, the next sync does the rest."""
    with errors_told():
        name = checked_device(device)
        clusters = {} if outputs is None else outputs_of(stack, outputs).clusters
        with Ledger.open(factory, stack) as ledger:
            is_new = ledger.revoke(name, reason, with_since(note, moment("--since", since)), at=now())
            if outputs is None:
                _tell_offline(name, is_new=is_new, as_json=as_json)
            else:
                tasks = plan_sync(ledger, clusters, device=name)
                tell_clusters(ledger, tasks, station_voucher(factory), as_json=as_json)


def _tell_offline(device: str, *, is_new: bool, as_json: bool) -> None:
    ledger = "revoked" if is_new else "was revoked before"
    tell({"device": device, "ledger": ledger, "clusters": "not told; the next sync tells them"}, as_json=as_json)
