"""Which identities were never seen to connect: what an offline line still owes."""

from collections.abc import Iterator

from provisioning.ledger.ledger import Ledger
from provisioning.ledger.records import Identity
from provisioning.ledger.rows import IDENTITY, as_identity


def unproven(ledger: Ledger) -> Iterator[Identity]:
    """The delivered identities in good standing that no line check has seen connect; the oldest first."""
    rows = ledger.connection.execute(
        f"SELECT {IDENTITY} FROM identity WHERE is_delivered AND NOT is_revoked AND NOT EXISTS ("  # noqa: S608  # our own names
        "SELECT 1 FROM step WHERE step.issuance = identity.id AND step = 'proven') ORDER BY id"
    )
    yield from map(as_identity, rows)
