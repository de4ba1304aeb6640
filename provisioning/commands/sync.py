"""`python -m provisioning sync`: tell the clusters what the ledger knows."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from provisioning.commands.clusters import Ahead, tell_clusters
from provisioning.commands.options import (
    AsJson,
    Authorities,
    Clusters,
    Factory,
    PolicyWay,
    Rates,
    Stack,
    now,
    outputs_of,
)
from provisioning.commands.telling import errors_told
from provisioning.errors import RefusedError
from provisioning.ledger.ledger import Ledger
from provisioning.registry.eager import plan_registration
from provisioning.registry.enrol import PolicyBy
from provisioning.registry.quotas import quotas
from provisioning.signed_entry import station_voucher
from provisioning.sync import plan_sync
from stacks.load import AUTHORITIES, find_ca_certificates, load_environment
from stacks.outputs import Outputs


def sync(
    *,
    stack: Stack,
    outputs: Clusters,
    factory: Factory,
    again: Annotated[
        bool, typer.Option("--again", help="Compare every identity with every cluster, whatever is remembered.")
    ] = False,
    eager: Annotated[
        bool, typer.Option("--eager", help="Register them too, ahead of their first connect, at the account's quotas.")
    ] = False,
    policy_by: PolicyWay = PolicyBy.GROUP,
    rate: Rates = None,
    authorities: Authorities = None,
    as_json: AsJson = False,
) -> None:
    """Put every identity into every cluster's manifest, and take revoked ones back. A rerun calls nothing twice."""
    with errors_told():
        if rate and not eager:
            raise RefusedError("--rate: says how fast --eager may register; give both, or neither")
        known = outputs_of(stack, outputs)
        rates = quotas(rate or ())
        with Ledger.open(factory, stack) as ledger:
            ahead = _ahead(ledger, known, authorities or AUTHORITIES / stack, policy_by, rates) if eager else None
            tasks = plan_sync(ledger, known.clusters, again=again)
            tell_clusters(ledger, tasks, station_voucher(factory), as_json=as_json, ahead=ahead)


def _ahead(ledger: Ledger, outputs: Outputs, folder: Path, by: PolicyBy, rates: dict[str, float]) -> Ahead:
    """What is left to register, and how long that takes at least."""
    if by is PolicyBy.GROUP and not outputs.device_group_name:
        raise RefusedError("--policy-by group: this deployment has no group of devices yet; deploy again")
    environment = load_environment(outputs.environment, today=None)
    certificates = find_ca_certificates(environment, folder, today=now().date())
    planned = plan_registration(ledger, outputs, {name: each.pem for name, each in certificates.items()}, by=by)
    for each in planned:
        left = timedelta(seconds=round(each.seconds_at_least(rates)))
        typer.echo(f"cluster {each.cluster}: {each.count:,} to register, at least {left} at its quotas", err=True)
    return Ahead(planned, rates)
