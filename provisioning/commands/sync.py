"""`python -m provisioning sync`: tell the clusters what the ledger knows."""

from pathlib import Path
from typing import Annotated

import typer

from provisioning.commands.clusters import tell_clusters
from provisioning.commands.options import AsJson, Factory, Stack, outputs_of
from provisioning.commands.telling import errors_told
from provisioning.ledger.ledger import Ledger
from provisioning.signed_entry import station_voucher
from provisioning.sync import plan_sync


def sync(
    stack: Stack,
    outputs: Annotated[Path, typer.Option(help="What the deployment gave: pulumi stack output --json.")],
    factory: Factory,
    again: Annotated[
        bool, typer.Option("--again", help="Compare every identity with every cluster, whatever is remembered.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Put every identity into every cluster's manifest, and take revoked ones back. A rerun calls nothing twice."""
    with errors_told():
        clusters = outputs_of(stack, outputs).clusters
        with Ledger.open(factory, stack) as ledger:
            tell_clusters(ledger, plan_sync(ledger, clusters, again=again), station_voucher(factory), as_json=as_json)
