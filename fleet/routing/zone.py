"""The hosted zone as the applier sees it. `route53_zone` is the real one; tests have one in memory with its limits.

Every method is one request to Route 53, made once: pacing and trying again belong to the applier, because only it
knows what may be repeated.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from fleet.routing.record_set import RecordSet

MAX_BATCH_RECORDS = 1_000
"""Route 53 quota: ResourceRecord elements in one ChangeResourceRecordSets request."""
MAX_BATCH_CHARACTERS = 32_000
"""Route 53 quota: characters in all Value elements of one request, white space included."""
REQUESTS_PER_SECOND = 5
"""Route 53 quota: API requests of one account, all kinds together."""
MAX_PAGE_RECORD_SETS = 300
"""Route 53: record sets in one answer of ListResourceRecordSets."""


@dataclass(frozen=True)
class Delete:
    """The record set stands exactly so, and goes."""

    records: RecordSet


@dataclass(frozen=True)
class Create:
    """No record set of this name and type stands, and this one comes."""

    records: RecordSet


@dataclass(frozen=True)
class Upsert:
    """Whatever stands under this name and type, this one comes. Counts double against both batch quotas."""

    records: RecordSet


ZoneChange = Delete | Create | Upsert


@dataclass(frozen=True)
class Page:
    """A stretch of the zone, in zone order."""

    record_sets: tuple[RecordSet, ...]
    """Plain ones only."""
    others: tuple[tuple[str, str], ...]
    """Name and type of those that are aliases or choose among several; only Pulumi makes them."""
    next_name: str | None
    """Where the next page begins; none after the last."""
    next_type: str | None


class ZoneThrottledError(Exception):
    """Nothing was done, and the same may go through later.

    Too many requests, the zone still works on the one before (`PriorRequestNotComplete`), or Route 53 was not reached.
    """


class ZoneRefusedError(Exception):
    """The batch was refused as a whole, and nothing of it was done; the text is Route 53's, a line a change."""


class ZoneReplyLostError(Exception):
    """No answer came, or none that can be read: the batch was done as a whole, or not at all."""


class ZoneUnknownChangeError(Exception):
    """Route 53 knows no change of that id (any more)."""


class Zone(Protocol):
    """One hosted zone."""

    def change(self, changes: Sequence[ZoneChange]) -> str:
        """Make the changes, all or none; the change's id.

        `ZoneThrottledError`, `ZoneRefusedError`, `ZoneReplyLostError`.
        """

    def is_in_sync(self, change_id: str) -> bool:
        """Whether every Route 53 server answers with that change.

        `ZoneThrottledError`, `ZoneReplyLostError`, `ZoneUnknownChangeError`.
        """

    def page(self, start_name: str, start_type: str | None = None) -> Page:
        """The record sets from a name on. `ZoneThrottledError`, `ZoneReplyLostError`."""
