"""Tell every cluster what the ledger knows: new identities, and those taken back.

The ledger remembers what a cluster was told, so a rerun calls nothing that is done. A cluster that cannot be reached
does not keep the others waiting.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from protocol.device_id import DeviceId
from provisioning.cloud import Cloud, asking
from provisioning.errors import CloudError
from provisioning.ledger.ledger import Ledger
from provisioning.ledger.records import Identity
from provisioning.ledger.uploads import pending, remember
from provisioning.manifest import Manifest, Upload
from provisioning.registration import Withdrawal, cut_session, withdraw
from stacks.outputs import ClusterOutputs


@dataclass(frozen=True, kw_only=True)
class Told:
    """One identity in one cluster."""

    cluster: str
    device: DeviceId
    fingerprint: str
    upload: Upload
    withdrawal: Withdrawal | None = None
    """Of a revoked identity: what its registration in that region came to."""
    session_was_cut: bool = False
    """Of a revoked identity: whether it was connected there, and is no longer."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """What one cluster must be told."""

    cluster: str
    outputs: ClusterOutputs
    identities: tuple[Identity, ...]

    @property
    def manifest(self) -> str:
        """The table's name in the ledger's memory: a table of another region is another table."""
        return manifest_name(self.outputs)


def manifest_name(cluster: ClusterOutputs) -> str:
    """A manifest table, by region and name."""
    return f"{cluster.region}/{cluster.manifest_table}"


def plan_sync(
    ledger: Ledger,
    clusters: Mapping[str, ClusterOutputs],
    *,
    device: DeviceId | None = None,
    again: bool = False,
) -> tuple[Task, ...]:
    """What there is to tell, cluster by cluster; of one device, or of all. `again` distrusts the memory."""
    return tuple(
        Task(
            cluster=name,
            outputs=outputs,
            identities=tuple(pending(ledger, manifest_name(outputs), device=device, again=again)),
        )
        for name, outputs in sorted(clusters.items())
    )


def sync(
    tasks: tuple[Task, ...], ledger: Ledger, cloud: Cloud, *, clock: Callable[[], datetime]
) -> Iterator[Told | CloudError]:
    """Carry out the tasks; an error ends its cluster's task alone, and is yielded like a result."""
    for task in tasks:
        if not task.identities:
            continue
        try:
            yield from _tell(task, ledger, cloud, clock)
        except CloudError as error:
            yield error


def _tell(task: Task, ledger: Ledger, cloud: Cloud, clock: Callable[[], datetime]) -> Iterator[Told]:
    region = task.outputs.region
    manifest = Manifest(cloud.dynamodb(region), task.outputs.manifest_table)
    iot = cloud.iot(region)
    for identity in task.identities:
        withdrawal, was_cut = None, False
        with asking(f"cluster {task.cluster}, device {identity.device}"):
            upload = manifest.tell(identity.entry)
            if identity.is_revoked:
                withdrawal = withdraw(iot, identity.fingerprint)
                if withdrawal is not Withdrawal.NEVER_REGISTERED:
                    was_cut = cut_session(cloud.iot_data(region), identity.device)
        if upload is not Upload.DIFFERS:
            remember(ledger, identity, task.manifest, at=clock())
        yield Told(
            cluster=task.cluster,
            device=identity.device,
            fingerprint=identity.fingerprint,
            upload=upload,
            withdrawal=withdrawal,
            session_was_cut=was_cut,
        )
