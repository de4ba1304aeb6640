"""What clusters list of an authority or a station and no ledger here holds: the work of a station that was lost.

It told the clusters and was lost with its ledger, or somebody who has it tells them still. Only what a manifest lists
is admitted, so this is all there is to find: what was signed and never told is admitted nowhere.
"""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from protocol.admission import ManifestEntry, Standing
from provisioning.cloud import Cloud, asking
from provisioning.ledger.ledger import Ledger
from provisioning.manifest import MAX_ENTRIES, Manifest
from provisioning.registration import try_to_let_go
from provisioning.registry.setbacks import Setbacks
from provisioning.signed_entry import Voucher
from provisioning.sync import Told
from stacks.environment import Frozen
from stacks.outputs import ClusterOutputs, Outputs


class Unreported(Frozen):
    """One identity that no ledger here holds."""

    clusters: tuple[str, ...]
    """Whose manifests list it."""
    item: dict[str, str]
    """As they do, without a signature."""

    @property
    def entry(self) -> ManifestEntry:
        """What it says; `KeyError` or `ValueError` when it is no entry."""
        return ManifestEntry.from_item(dict(self.item))


@dataclass(frozen=True)
class Looked:
    """What was found in the clusters."""

    unreported: tuple[Unreported, ...]
    unreadable: int
    """Items of that signer which are no entries: `reconcile` names them."""


NOBODY = Looked((), 0)


def look(ledger: Ledger | None, signer: str, outputs: Outputs, cloud: Cloud) -> Looked:
    """Every identity of `signer` that a cluster lists as good and the ledger does not hold. Reads whole tables."""
    known = set[str]() if ledger is None else _fingerprints(ledger, signer)
    found: dict[tuple[tuple[str, str], ...], list[str]] = {}
    unreadable = 0
    for name, cluster in sorted(outputs.clusters.items()):
        with asking(f"cluster {name}, its manifest"):
            for item in Manifest(cloud.dynamodb(cluster.region), cluster.manifest_table).scan():
                if item.get("authority") != signer or item.get("fingerprint") in known:
                    continue
                try:
                    entry = ManifestEntry.from_item(dict(item))
                except (KeyError, ValueError):
                    unreadable += 1
                    continue
                if entry.standing is Standing.GOOD:
                    found.setdefault(tuple(sorted(entry.to_item().items())), []).append(name)
    unreported = [Unreported(clusters=tuple(names), item=dict(item)) for item, names in found.items()]
    return Looked(tuple(sorted(unreported, key=lambda each: (each.entry.device, each.entry.fingerprint))), unreadable)


def take_back(
    rows: Iterable[Unreported], name: str, cluster: ClusterOutputs, cloud: Cloud, voucher: Voucher
) -> Iterator[Told]:
    """Revoke those that one cluster lists, manifest and registration; a rerun is harmless.

    One that fails is yielded with its failure, and those behind it go on.
    """
    setbacks = Setbacks()
    manifest = Manifest(cloud.dynamodb(cluster.region), cluster.manifest_table)
    iot, data = cloud.iot(cluster.region), cloud.iot_data(cluster.region)
    waiting = (replace(each.entry, standing=Standing.REVOKED) for each in rows if name in each.clusters)
    while page := tuple(itertools.islice(waiting, MAX_ENTRIES)):
        with asking(f"cluster {name}, devices {page[0].device} to {page[-1].device}"):
            uploads = manifest.tell([voucher.vouch(entry) for entry in page])
        for entry, upload in zip(page, uploads, strict=True):
            letting = try_to_let_go(iot, data, entry.fingerprint, entry.device, setbacks=setbacks)
            yield Told(
                cluster=name,
                device=entry.device,
                fingerprint=entry.fingerprint,
                upload=upload,
                withdrawal=letting.withdrawal,
                session_was_cut=letting.session_was_cut,
                failure=letting.failure,
            )
            setbacks.stop_if_all_fail(f"cluster {name}")


def _fingerprints(ledger: Ledger, signer: str) -> set[str]:
    rows = ledger.connection.execute(
        "SELECT fingerprint FROM certificate JOIN issuance ON issuance.number = issuance WHERE authority = ?", (signer,)
    )
    return {fingerprint.hex() for (fingerprint,) in rows}
