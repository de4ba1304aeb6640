"""What `sync` still has to tell each cluster, and what it has told."""

from datetime import datetime

from protocol.admission import Standing
from protocol.device_id import DeviceId
from provisioning.ledger.ledger import Ledger
from provisioning.ledger.records import Identity
from provisioning.ledger.rows import IDENTITY, as_identity
from provisioning.ledger.times import as_microseconds


def pending(ledger: Ledger, manifest: str, *, device: DeviceId | None = None, again: bool = False) -> list[Identity]:
    """The delivered or revoked certificates whose standing `manifest` is not known to hold; the oldest first.

    `again`: all of them, whatever is remembered. A certificate that was signed, never delivered and then revoked is
    among them: it may exist somewhere.
    """
    rows = ledger.connection.execute(
        f"SELECT {IDENTITY} FROM identity "  # noqa: S608  # our own names
        "WHERE (is_delivered OR is_revoked) AND (?1 IS NULL OR device = ?1) ORDER BY id",
        (device,),
    )
    identities = [as_identity(row) for row in rows]
    told = _told(ledger, manifest)
    return [identity for identity in identities if again or told.get(identity.issuance) != identity.entry.standing]


def remember(ledger: Ledger, identity: Identity, manifest: str, *, at: datetime) -> None:
    """Note that `manifest` holds the identity's standing, and that the cluster acted on it."""
    ledger.connection.execute(
        "INSERT INTO uploaded (issuance, manifest, standing, at) VALUES (?1, ?2, ?3, ?4) "
        "ON CONFLICT (issuance, manifest) DO UPDATE SET standing = ?3, at = ?4",
        (identity.issuance, manifest, identity.entry.standing, as_microseconds(at)),
    )


def _told(ledger: Ledger, manifest: str) -> dict[int, Standing]:
    rows = ledger.connection.execute("SELECT issuance, standing FROM uploaded WHERE manifest = ?", (manifest,))
    return {issuance: Standing(standing) for issuance, standing in rows}
