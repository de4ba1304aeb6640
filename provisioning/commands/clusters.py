"""Carry out what clusters must be told, with progress, and tell people how each took it."""

import typer

from provisioning.cloud import Cloud
from provisioning.commands.options import now
from provisioning.commands.progress import counted
from provisioning.commands.telling import FAILED, RowTeller, tell_error
from provisioning.errors import CloudError
from provisioning.ledger.ledger import Ledger
from provisioning.manifest import Upload
from provisioning.signed_entry import Voucher
from provisioning.sync import Task, Told, sync

MAX_DIFFERENCES = 20
"""So many are spelled out; of more, their number is said."""


def tell_clusters(ledger: Ledger, tasks: tuple[Task, ...], voucher: Voucher, *, as_json: bool) -> None:
    """Do the tasks and show every identity's result; exits 1 when a cluster failed or differs."""
    errors: list[CloudError] = []
    differences = 0
    with (
        counted("telling the clusters", sum(task.count for task in tasks)) as advance,
        RowTeller("told", as_json=as_json, summed_up_by=("cluster", "manifest", "certificate")) as teller,
    ):
        for result in sync(tasks, ledger, Cloud.from_environment(), voucher, clock=now):
            if isinstance(result, CloudError):
                errors.append(result)
                continue
            teller.tell(_row(result))
            advance(1)
            if result.upload is Upload.DIFFERS:
                differences += 1
                if differences <= MAX_DIFFERENCES:
                    errors.append(CloudError(_difference(result)))
    for error in errors:
        tell_error(error)
    if differences > MAX_DIFFERENCES:
        tell_error(CloudError(f"{differences} differ in all; `reconcile` lists every one"))
    if errors:
        raise typer.Exit(FAILED)


def _row(told: Told) -> dict[str, str]:
    return {
        "cluster": told.cluster,
        "device": told.device,
        "fingerprint": told.fingerprint,
        "manifest": told.upload,
        "certificate": _certificate(told),
    }


def _difference(told: Told) -> str:
    return (
        f"cluster {told.cluster}, device {told.device}: the manifest holds something else for this certificate and "
        f"keeps it; compare the item {told.fingerprint} with `ledger show`, and revoke the device if nobody knows why"
    )


def _certificate(told: Told) -> str:
    if told.withdrawal is None:
        return ""
    return f"{told.withdrawal}, session cut" if told.session_was_cut else told.withdrawal
