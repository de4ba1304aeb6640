"""Tell every cluster what the ledger knows: new identities, and those taken back.

A hundred at a time, signed by the station. The ledger remembers what a cluster was told, so a run that was killed goes
on where it was, and a second one calls nothing. A cluster that cannot be reached does not keep the others waiting.
"""

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from protocol.admission import ManifestEntry
from protocol.device_id import DeviceId
from provisioning.cloud import Cloud, asking
from provisioning.errors import CloudError
from provisioning.ledger.ledger import Ledger
from provisioning.ledger.records import Identity
from provisioning.ledger.uploads import count_pending, pending, remember
from provisioning.manifest import MAX_ENTRIES, Manifest, Upload
from provisioning.registration import Letting, Withdrawal, try_to_let_go
from provisioning.registry.setbacks import Setbacks
from provisioning.second_identity import others_good
from provisioning.signed_entry import Voucher
from stacks.outputs import ClusterOutputs

if TYPE_CHECKING:
    from mypy_boto3_iot import IoTClient


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
    failure: str = ""
    """Why it was held back, or why the registration of a revoked one stands still; the next run tries again."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """What one cluster must be told: of one device or of all."""

    cluster: str
    outputs: ClusterOutputs
    device: DeviceId | None
    distrusts_memory: bool
    count: int
    """How many identities, when it was planned."""

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
            device=device,
            distrusts_memory=again,
            count=count_pending(ledger, manifest_name(outputs), device=device, again=again),
        )
        for name, outputs in sorted(clusters.items())
    )


def sync(
    tasks: tuple[Task, ...], ledger: Ledger, cloud: Cloud, voucher: Voucher, *, clock: Callable[[], datetime]
) -> Generator[Told | CloudError, None, None]:
    """Carry out the tasks; an error ends its cluster's task alone, and is yielded like a result.

    A device that fails is yielded like any other, and those behind it go on.
    """
    for task in tasks:
        if not task.count:
            continue
        try:
            yield from _tell(task, ledger, cloud, voucher, clock)
        except CloudError as error:
            yield error


def _tell(task: Task, ledger: Ledger, cloud: Cloud, voucher: Voucher, clock: Callable[[], datetime]) -> Iterator[Told]:
    region = task.outputs.region
    manifest = Manifest(cloud.dynamodb(region), task.outputs.manifest_table)
    iot = cloud.iot(region)
    setbacks = Setbacks()
    pages = pending(ledger, task.manifest, device=task.device, again=task.distrusts_memory, page=MAX_ENTRIES)
    for page in pages:
        with asking(f"cluster {task.cluster}, {_named(page)}"):
            others = others_good(page, manifest, ledger, now=clock())
            telling = [identity for identity in page if identity.is_revoked or identity.device not in others]
            told_of = manifest.tell([voucher.vouch(identity.entry) for identity in telling])
        uploads = dict(zip((identity.fingerprint for identity in telling), told_of, strict=True))
        done: list[Identity] = []
        try:
            for identity in page:
                if (upload := uploads.get(identity.fingerprint)) is None:
                    yield _held_back(task, identity, others[identity.device])
                    continue
                told = _told(task, identity, upload, iot, cloud, setbacks=setbacks)
                if upload is not Upload.DIFFERS and not told.failure:
                    done.append(identity)
                yield told
                setbacks.stop_if_all_fail(f"cluster {task.cluster}")
        finally:
            remember(ledger, done, task.manifest, at=clock())


def _told(
    task: Task, identity: Identity, upload: Upload, iot: "IoTClient", cloud: Cloud, *, setbacks: Setbacks
) -> Told:
    """What is left to do once the manifest knows: a revoked identity loses its registration too."""
    letting = Letting()
    if identity.is_revoked:
        data = cloud.iot_data(task.outputs.region)
        letting = try_to_let_go(iot, data, identity.fingerprint, identity.device, setbacks=setbacks)
    return Told(
        cluster=task.cluster,
        device=identity.device,
        fingerprint=identity.fingerprint,
        upload=upload,
        withdrawal=letting.withdrawal,
        session_was_cut=letting.session_was_cut,
        failure=letting.failure,
    )


def _held_back(task: Task, identity: Identity, other: ManifestEntry) -> Told:
    """A second identity of a device: whoever has the ledger of the first decides which of them is the device's."""
    return Told(
        cluster=task.cluster,
        device=identity.device,
        fingerprint=identity.fingerprint,
        upload=Upload.HELD_BACK,
        failure=f"the manifest lists certificate {other.fingerprint} of {other.authority} as good for it, which is not "
        "in this ledger, and a device has one identity; end the one that is wrong in its ledger (python -m "
        "provisioning retire) and sync from there, then run this again",
    )


def _named(page: list[Identity]) -> str:
    first, last = page[0].device, page[-1].device
    return f"device {first}" if len(page) == 1 else f"devices {first} to {last} ({len(page)})"
