"""Carry out what clusters must be told, with progress, and tell people how each took it."""

import typer
from rich.console import Console
from rich.progress import Progress

from provisioning.cloud import Cloud
from provisioning.commands.options import now
from provisioning.commands.telling import FAILED, tell_error, tell_rows
from provisioning.errors import CloudError
from provisioning.ledger.ledger import Ledger
from provisioning.manifest import Upload
from provisioning.sync import Task, Told, sync


def tell_clusters(ledger: Ledger, tasks: tuple[Task, ...], *, as_json: bool) -> None:
    """Do the tasks and show every identity's result; exits 1 when a cluster failed or differs."""
    told: list[Told] = []
    errors: list[CloudError] = []
    with Progress(console=Console(stderr=True), transient=True, disable=not _is_watched()) as progress:
        bar = progress.add_task("telling the clusters", total=sum(len(task.identities) for task in tasks))
        for result in sync(tasks, ledger, Cloud.from_environment(), clock=now):
            if isinstance(result, CloudError):
                errors.append(result)
            else:
                told.append(result)
                progress.advance(bar)
    tell_rows("told", [_row(each) for each in told], as_json=as_json)
    for error in errors:
        tell_error(error)
    for each in told:
        if each.upload is Upload.DIFFERS:
            tell_error(CloudError(_difference(each)))
    if errors or any(each.upload is Upload.DIFFERS for each in told):
        raise typer.Exit(FAILED)


def _is_watched() -> bool:
    return Console(stderr=True).is_terminal


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
