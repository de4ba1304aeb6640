"""Times as the ledger keeps them: whole numbers, so that they compare and hash the same everywhere."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def as_microseconds(moment: datetime) -> int:
    """Microseconds since 1970-01-01 UTC."""
    return (moment - _EPOCH) // _MICROSECOND


@lru_cache(maxsize=64)
def from_microseconds(count: int) -> datetime:
    """The moment, in UTC. Cached: the certificates of a batch end together."""
    return _EPOCH + timedelta(microseconds=count)
