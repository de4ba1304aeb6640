"""What `sync --eager` still has to register in a cluster; page by page, so memory stays the same."""

from collections.abc import Iterator

from provisioning.ledger.ledger import Ledger
from provisioning.ledger.records import Identity
from provisioning.ledger.rows import IDENTITY, as_identity

_UNREGISTERED = """
FROM identity WHERE is_delivered AND NOT is_revoked AND id > ?2 AND NOT EXISTS (
    SELECT 1 FROM step WHERE step.issuance = identity.id AND step = 'registered' AND place = ?1)
"""
"""Cluster, and after which issuance."""
_TOLD = "AND EXISTS (SELECT 1 FROM uploaded WHERE issuance = identity.id AND manifest = ?4 AND standing = 'good')"


def unregistered(ledger: Ledger, cluster: str, manifest: str, *, page: int = 100) -> Iterator[list[Identity]]:
    """The delivered identities in good standing that the ledger does not know to be registered there.

    Only those that the cluster's `manifest` was told of: what it holds otherwise is not what would be registered.
    """
    after = 0
    while True:
        rows = ledger.connection.execute(
            f"SELECT {IDENTITY} {_UNREGISTERED} {_TOLD} ORDER BY id LIMIT ?3",  # our own names
            (cluster, after, page, manifest),
        ).fetchall()
        if not rows:
            return
        identities = [as_identity(row) for row in rows]
        after = identities[-1].issuance
        yield identities


def count_unregistered(ledger: Ledger, cluster: str) -> int:
    """How many there are, whether told to a manifest yet or not."""
    (count,) = ledger.connection.execute(f"SELECT count(*) {_UNREGISTERED}", (cluster, 0)).fetchone()
    return int(count)


def is_ended(ledger: Ledger, identity: Identity) -> bool:
    """Whether the identity was revoked or retired meanwhile."""
    row = ledger.connection.execute("SELECT is_revoked FROM identity WHERE id = ?", (identity.issuance,)).fetchone()
    return bool(row[0])
