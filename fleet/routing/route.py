"""A route: where one device is sent, why, until when, and how far that has come. One revision of one device's history.

The route table keeps every revision; the newest is the route as it stands. A device without one follows the wildcard
and counts as revision 0.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from fleet.routing.target import Target
from protocol.device_id import DeviceId


class Kind(StrEnum):
    """Why a device is sent somewhere."""

    MOVE = "move"
    """It belongs there now."""
    DEBUG = "debug"
    """An engineer looks at it for a while; it always has an expiry."""
    DRAIN = "drain"
    """Its cluster is being emptied."""


class State(StrEnum):
    """How far a route has come, in this order. Every step is written down after it is proven."""

    PENDING = "pending"
    """Written down; the zone may hold it or not."""
    POINTED = "pointed"
    """Route 53 says that all its servers answer with it (INSYNC)."""
    ASKED = "asked"
    """The former cluster was asked to drop the connection."""
    ARRIVED = "arrived"
    """Seen connected in the target."""
    SETTLED = "settled"
    """The former cluster has forgotten the session; nothing is left to do."""


@dataclass(frozen=True, kw_only=True)
class Route:
    """One revision. Times are UTC."""

    device: DeviceId
    revision: int
    """1 for the first; each change of a device's route adds one."""
    target: Target
    kind: Kind
    owner: str
    """The team that answers for it."""
    reason: str
    expires: datetime | None
    """When a sweep sends the device on to `returns_to`; never without a time."""
    returns_to: Target
    """Where the device goes at the expiry: the default, or where it was before."""
    state: State
    changed_by: str
    changed_at: datetime
    plan: str
    """The digest of the plan that made this revision."""
    state_since: datetime | None = None
    """When it came to that state, as `RouteTable.advance` was told; unknown while it is `pending`."""
    approved_by: str = ""
    """Who answered for that its plan sends data out of its residency; empty when nobody was asked."""
