"""Every certificate on record, for whoever compares; in the same memory however many there are."""

from collections.abc import Iterator

from provisioning.errors import StationError
from provisioning.ledger.ledger import Ledger
from provisioning.ledger.records import Identity
from provisioning.ledger.rows import IDENTITY, as_identity


def all_identities(ledger: Ledger, cluster: str) -> Iterator[tuple[Identity, bool, bool]]:
    """Each with whether `sync` tells clusters of it, and whether `cluster` is noted to have registered it ahead."""
    rows = ledger.connection.execute(
        f"SELECT {IDENTITY}, is_delivered OR is_revoked, EXISTS ("  # noqa: S608  # our own names
        "SELECT 1 FROM step WHERE step.issuance = identity.id AND step = 'registered' AND place = ?) "
        "FROM identity ORDER BY id",
        (cluster,),
    )
    for *row, is_told, is_noted in rows:
        yield as_identity(tuple(row)), bool(is_told), bool(is_noted)


def holds(ledger: Ledger, fingerprint: str) -> bool:
    """Whether a certificate with this fingerprint is on record, ended or not."""
    row = ledger.connection.execute(
        "SELECT 1 FROM certificate WHERE fingerprint = ?", (bytes.fromhex(fingerprint),)
    ).fetchone()
    return row is not None


def identity_with(ledger: Ledger, fingerprint: str) -> Identity:
    """The identity whose certificate has this fingerprint; `StationError` when it is gone from under the caller."""
    row = ledger.connection.execute(
        f"SELECT {IDENTITY} FROM identity WHERE id = (SELECT issuance FROM certificate WHERE fingerprint = ?)",  # noqa: S608  # our own names
        (bytes.fromhex(fingerprint),),
    ).fetchone()
    if row is None:
        raise StationError(f"certificate {fingerprint} is not in this ledger any more; stop, and check its disk")
    return as_identity(row)
