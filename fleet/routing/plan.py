"""A plan: the changes to be made, computed from what was known, and enough to see whether that still holds.

A value: `plan_file` writes and reads it, `applier` carries it out. Changes are sorted by device.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from fleet.routing.record_set import RecordSet
from fleet.routing.route import Kind
from fleet.routing.target import Target
from protocol.device_id import DeviceId

PLAN_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Change:
    """One device's next revision, and what it does to the zone, as one atomic step."""

    device: DeviceId
    revision: int
    """The revision this makes; the table must hold the one before it."""
    before: Target
    after: Target
    removes: tuple[RecordSet, ...]
    """Record sets that must stand in the zone exactly so, and go."""
    creates: tuple[RecordSet, ...]
    """Record sets that must not stand in the zone, and come."""
    kind: Kind
    owner: str
    reason: str
    expires: datetime | None
    returns_to: Target


@dataclass(frozen=True, kw_only=True)
class Header:
    """What a plan was made from. Apply refuses it in any other place."""

    version: int
    environment: str
    domain: str
    zone_id: str
    route_table: str
    clusters: dict[str, str]
    """Cluster to the server name devices verify there."""
    made_by: str
    made_at: datetime
    request: str
    """What was asked for, in words: the command's own options."""
    approved_by: str
    """Who answers for sending data out of its residency; empty when nothing is sent out."""
    undoes: str
    """The digest of the plan that this one rolls back; empty for any other."""


class Plan(Protocol):
    """What the applier carries out: a plan in a file (`plan_file`) or in memory (`plan_text`)."""

    @property
    def header(self) -> Header:
        """What it was made from."""

    @property
    def digest(self) -> str:
        """SHA-256 in hex over its text; the same plan has the same digest wherever it is kept."""

    @property
    def count(self) -> int:
        """How many changes."""

    def changes(self) -> Iterator[Change]:
        """The changes, sorted by device, as often as asked."""
