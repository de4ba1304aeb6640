"""One device, one identity, also where ledgers do not know each other: asked of a manifest before it is told.

The registrar does not admit a second one beside the first (`functions.admission`), so it is not told at all, and a
person ends the one that is wrong. Two stations that tell at the same moment may both be told: `reconcile` names both.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from protocol.admission import ManifestEntry, Standing
from protocol.device_id import DeviceId
from provisioning.ledger.identities import holds
from provisioning.ledger.ledger import Ledger
from provisioning.ledger.records import Identity
from provisioning.manifest import Manifest


def others_good(
    identities: Sequence[Identity], manifest: Manifest, ledger: Ledger, *, now: datetime
) -> dict[DeviceId, ManifestEntry]:
    """The identity of each device that the manifest lists as good, and that this ledger does not hold.

    Of at most `provisioning.manifest.MAX_ENTRIES` identities; of those that have ended nothing is asked. Of a
    certificate that the ledger holds, the ledger's word counts: it ended the first before it made the second.
    """
    asked = [identity.device for identity in identities if not identity.is_revoked]
    found = (_entry(item) for item in manifest.of_devices(asked)) if asked else ()
    strangers = [
        entry for entry in found if entry is not None and _stands(entry, now) and not holds(ledger, entry.fingerprint)
    ]
    # The index is moments behind: what was ended just now is asked of the table itself.
    there = manifest.read([entry.fingerprint for entry in strangers]) if strangers else {}
    confirmed = (_entry(item) for item in there.values())
    return {entry.device: entry for entry in confirmed if entry is not None and _stands(entry, now)}


def _entry(item: Mapping[str, str]) -> ManifestEntry | None:
    """The entry; None for an item that is none, which admits nobody and which `reconcile` names."""
    try:
        return ManifestEntry.from_item(dict(item))
    except (KeyError, ValueError):
        return None


def _stands(entry: ManifestEntry, now: datetime) -> bool:
    return entry.standing is Standing.GOOD and now < entry.not_after
