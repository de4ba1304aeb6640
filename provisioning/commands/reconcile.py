"""`python -m provisioning reconcile`: whether the cloud holds what the ledger holds."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError

from provisioning.cloud import Cloud
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
from provisioning.commands.progress import counted
from provisioning.commands.telling import FAILED, RowTeller, errors_told, tell_error
from provisioning.errors import CloudError
from provisioning.ledger.ledger import Ledger
from provisioning.reconcile.compare import Trust
from provisioning.reconcile.finding import Finding
from provisioning.reconcile.reconcile import Comparison, Mender, compared, findings
from provisioning.registry.calls import Calls
from provisioning.registry.eager import plan_registration
from provisioning.registry.enrol import PolicyBy
from provisioning.registry.quotas import quotas
from provisioning.registry.setbacks import Setbacks
from provisioning.signed_entry import read_station_keys, station_voucher
from stacks.load import AUTHORITIES, find_ca_certificates, load_environment

MENDED = "mended"
SUMMED_UP_BY = ("cluster", "difference", "acts", "repair")
"""Of many differences their kinds are counted."""


def reconcile(
    *,
    stack: Stack,
    outputs: Clusters,
    factory: Factory,
    repair: Annotated[
        bool, typer.Option("--repair", help="Mend what the list says is ours to mend; show it without this first.")
    ] = False,
    deep: Annotated[
        bool, typer.Option("--deep", help="Ask of every registered certificate which thing it has: ten a second.")
    ] = False,
    trust: Annotated[
        list[Path] | None, typer.Option(help="station.pub.pem of another station that tells the same clusters.")
    ] = None,
    policy_by: PolicyWay = PolicyBy.GROUP,
    rate: Rates = None,
    authorities: Authorities = None,
    as_json: AsJson = False,
) -> None:
    """Compare ledger and clusters: manifest, certificates, things, policies. Exits 1 while anything differs."""
    with errors_told():
        known = outputs_of(stack, outputs)
        rates = quotas(rate or ())
        environment = load_environment(stack, today=None)
        folder = authorities or AUTHORITIES / stack
        certificates = find_ca_certificates(environment, folder, today=now().date())
        voucher = station_voucher(factory)
        keys = {voucher.key_id: voucher.signer.public_key(), **read_station_keys(trust or ())}
        trusted = Trust(keys=keys, ours=voucher.key_id)
        cloud = Cloud.from_environment()
        errors: list[CloudError] = []
        left = 0
        shown = ("cluster", "device", "difference", "detail", "acts", "repair" if repair else "way_out")
        with (
            Ledger.open(factory, stack) as ledger,
            RowTeller("differences", as_json=as_json, summed_up_by=SUMMED_UP_BY, columns=shown) as teller,
        ):
            pems = {name: each.pem for name, each in certificates.items()}
            for registration in plan_registration(ledger, known, pems, by=policy_by):
                mender = Mender(
                    comparison=Comparison(cluster=registration.cluster, outputs=known, trust=trusted, is_deep=deep),
                    ledger=ledger,
                    cloud=cloud,
                    calls=Calls(cloud.iot_once(registration.outputs.region), rates),
                    voucher=voucher,
                    registration=registration,
                    clock=now,
                )
                try:
                    for finding, became in _compare(mender, repair=repair):
                        teller.tell(_row(registration.cluster, finding, became))
                        left += became != MENDED
                except CloudError as problem:
                    errors.append(problem)
        for error in errors:
            tell_error(error)
        if errors or left:
            raise typer.Exit(FAILED)


def _compare(mender: Mender, *, repair: bool) -> Iterator[tuple[Finding, str]]:
    """Every finding of one cluster, and what became of it. Nothing is mended before all is compared."""
    comparison = mender.comparison
    differences = 0
    with compared(comparison, mender.ledger, mender.cloud, mender.calls) as spool:
        count = spool.count()
        with counted(f"comparing {comparison.cluster}", count) as advance:
            for finding in findings(comparison, spool, mender.clock(), advance):
                differences += 1
                if repair:
                    spool.put_finding(finding)
                else:
                    yield finding, _offer(finding)
        told = f"cluster {comparison.cluster}: {count:,} certificates compared, {differences:,} differences"
        typer.echo(told, err=True)
        yield from _mend(mender, spool.findings())


def _mend(mender: Mender, found: Iterator[Finding]) -> Iterator[tuple[Finding, str]]:
    """What became of each; one that fails is set aside with its reason, and the others go on."""
    setbacks = Setbacks()
    for finding in found:
        try:
            became = MENDED if mender.mend(finding) else "left alone"
        except (ClientError, BotoCoreError, CloudError) as error:
            yield replace(finding, detail=setbacks.note(error)), "failed"
            setbacks.stop_if_all_fail(f"cluster {mender.comparison.cluster}, device {finding.device}")
            continue
        setbacks.went_well()
        yield finding, became


def _offer(finding: Finding) -> str:
    return f"--repair would {finding.meaning.repair}" if finding.meaning.repair else "none"


def _row(cluster: str, finding: Finding, became: str) -> dict[str, str]:
    return {
        "cluster": cluster,
        "device": finding.device,
        "fingerprint": finding.fingerprint,
        "difference": finding.kind,
        "detail": finding.detail,
        "acts": finding.meaning.acts,
        "way_out": finding.meaning.way_out,
        "repair": became,
    }
