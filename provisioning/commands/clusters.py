"""Carry out what clusters must be told, with progress, and tell people how each took it."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass

import typer

from provisioning.cloud import Cloud
from provisioning.commands.options import now
from provisioning.commands.progress import counted
from provisioning.commands.telling import FAILED, RowTeller, tell_error
from provisioning.ending.closing import Closed
from provisioning.errors import CloudError
from provisioning.ledger.ledger import Ledger
from provisioning.manifest import Upload
from provisioning.registry.eager import Registered, Registration, register
from provisioning.registry.enrol import Enrolment
from provisioning.signed_entry import Voucher
from provisioning.sync import Task, Told, sync

MAX_DIFFERENCES = 20
"""So many are spelled out; of more, their number is said."""


@dataclass(frozen=True)
class Ahead:
    """What is registered ahead of the first connect, once the manifests know it."""

    planned: tuple[Registration, ...]
    quotas: Mapping[str, float]


First = Callable[[Cloud], Iterator[Closed | Told | CloudError]]
"""What is done in the clusters before the ledger's news are told."""


def tell_clusters(
    ledger: Ledger,
    tasks: tuple[Task, ...],
    voucher: Voucher,
    *,
    as_json: bool,
    first: First | None = None,
    ahead: Ahead | None = None,
) -> None:
    """Do the tasks and show every identity's result; exits 1 when a cluster failed or differs."""
    errors: list[CloudError] = []
    spelled_out: list[CloudError] = []
    differences = 0
    cloud = Cloud.from_environment()
    total = sum(task.count for task in tasks) + sum(each.count for each in (ahead.planned if ahead else ()))
    with (
        counted("telling the clusters", total) as advance,
        RowTeller(
            "told",
            as_json=as_json,
            summed_up_by=("cluster", "manifest", "certificate"),
            columns=("cluster", "device", "manifest", "certificate"),
        ) as teller,
        # Where the answer cannot be written, what was told is remembered all the same, while the ledger is open.
        closing(sync(tasks, ledger, cloud, voucher, clock=now)) as syncing,
    ):
        before = iter(()) if first is None else first(cloud)
        for result in _results(itertools.chain(before, syncing), ledger, cloud, ahead, errors):
            teller.tell(_row(result))
            advance(1)
            if (difference := _difference(result)) is not None:
                differences += 1
                if differences <= MAX_DIFFERENCES:
                    spelled_out.append(CloudError(difference))
    for error in (*spelled_out, *errors):
        tell_error(error)
    if differences > MAX_DIFFERENCES:
        tell_error(CloudError(f"{differences} differ or failed in all; with --json every one has its row"))
    if errors or differences:
        raise typer.Exit(FAILED)


def _results(
    told: Iterable[Closed | Told | CloudError],
    ledger: Ledger,
    cloud: Cloud,
    ahead: Ahead | None,
    errors: list[CloudError],
) -> Iterator[Closed | Told | Registered]:
    """The manifests first, and registrations only when every manifest knows; errors are put aside."""
    for each in told:
        if isinstance(each, CloudError):
            errors.append(each)
        else:
            yield each
    if ahead is None:
        return
    if errors:
        errors.append(CloudError("nothing was registered ahead: the manifests must know first; run this again"))
        return
    for registered in register(ahead.planned, ledger, cloud, quotas=ahead.quotas, clock=now):
        if isinstance(registered, CloudError):
            errors.append(registered)
        else:
            yield registered


def _row(result: Closed | Told | Registered) -> dict[str, str]:
    if isinstance(result, Closed):
        certificate = f"authority {result.outcome}"
        told = {"cluster": result.cluster, "device": "", "fingerprint": result.certificate_id}
        return {**told, "manifest": "", "certificate": certificate}
    row = {"cluster": result.cluster, "device": result.device, "fingerprint": result.fingerprint}
    if isinstance(result, Registered):
        return {**row, "manifest": "", "certificate": result.enrolled.outcome}
    return {**row, "manifest": result.upload, "certificate": _certificate(result)}


def _difference(result: Closed | Told | Registered) -> str | None:
    if isinstance(result, Closed):
        return None
    place = f"cluster {result.cluster}, device {result.device}"
    if isinstance(result, Registered):
        return f"{place}: {result.enrolled.detail}" if result.enrolled.detail else None
    if result.failure:
        return f"{place}: {result.failure}"
    if result.upload is not Upload.DIFFERS:
        return None
    return (
        f"{place}: the manifest holds something else for this certificate and keeps it; compare the item "
        f"{result.fingerprint} with `ledger show`, and revoke the device if nobody knows why"
    )


def _certificate(told: Told) -> str:
    if told.withdrawal is None:
        return Enrolment.FAILED if told.failure and told.upload is not Upload.HELD_BACK else ""
    return f"{told.withdrawal}, session cut" if told.session_was_cut else told.withdrawal
