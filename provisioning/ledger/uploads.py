"""What `sync` still has to tell each cluster, and what it has told; page by page, so memory stays the same."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from protocol.device_id import DeviceId
from provisioning.ledger.ledger import Ledger
from provisioning.ledger.records import Identity
from provisioning.ledger.rows import IDENTITY, as_identity
from provisioning.ledger.times import as_microseconds

_PENDING = """
FROM identity LEFT JOIN uploaded ON uploaded.issuance = identity.id AND uploaded.manifest = ?1
WHERE (is_delivered OR is_revoked) AND (?2 IS NULL OR device = ?2) AND id > ?3
AND (?4 OR uploaded.standing IS NULL OR uploaded.standing <> CASE WHEN is_revoked THEN 'revoked' ELSE 'good' END)
"""
"""Manifest, device or all, after which issuance, and whether the memory is passed over."""


def pending(
    ledger: Ledger,
    manifest: str,
    *,
    device: DeviceId | None = None,
    again: bool = False,
    page: int = 100,
) -> Iterator[list[Identity]]:
    """The delivered or revoked certificates whose standing `manifest` is not known to hold; the oldest first.

    `again`: all of them, whatever is remembered. A certificate that was signed, never delivered and then revoked is
    among them: it may exist somewhere. Each page is read when it is asked for.
    """
    after = 0
    while True:
        rows = ledger.connection.execute(
            f"SELECT {IDENTITY} {_PENDING} ORDER BY id LIMIT ?5",  # our own names
            (manifest, device, after, again, page),
        ).fetchall()
        if not rows:
            return
        identities = [as_identity(row) for row in rows]
        after = identities[-1].issuance
        yield identities


def count_pending(ledger: Ledger, manifest: str, *, device: DeviceId | None = None, again: bool = False) -> int:
    """How many there are."""
    (count,) = ledger.connection.execute(f"SELECT count(*) {_PENDING}", (manifest, device, 0, again)).fetchone()
    return int(count)


def remember(ledger: Ledger, identities: Iterable[Identity], manifest: str, *, at: datetime) -> None:
    """Note that `manifest` holds the identities' standing, and that the cluster acted on it; in one transaction."""
    rows = [(identity.issuance, manifest, identity.entry.standing, as_microseconds(at)) for identity in identities]
    if not rows:
        return
    ledger.connection.execute("BEGIN IMMEDIATE")
    try:
        ledger.connection.executemany(
            "INSERT INTO uploaded (issuance, manifest, standing, at) VALUES (?1, ?2, ?3, ?4) "
            "ON CONFLICT (issuance, manifest) DO UPDATE SET standing = ?3, at = ?4",
            rows,
        )
    except BaseException:
        ledger.connection.rollback()
        raise
    ledger.connection.commit()
