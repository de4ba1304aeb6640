"""What an inspection of routes finds: where table, zone and resolvers do not say the same."""

from dataclasses import dataclass
from enum import StrEnum

from protocol.device_id import DeviceId


class Rule(StrEnum):
    """Which rule is broken. The order is how urgent it is to know."""

    WILDCARD = "wildcard"
    """The record that serves every device without one of its own is Pulumi's, and is as Pulumi made it."""
    PINNED = "pinned"
    """A pinned device has its pin's record, no other record and no route."""
    MISSING = "missing"
    """A route has its record in the zone."""
    DRIFT = "drift"
    """The record is the one that the route projects to: type, value and TTL."""
    ORPHAN = "orphan"
    """A record that leads a device somewhere has a route or a pin."""
    HIDES = "hides"
    """No other record stands at a device's name or below it: either hides the wildcard (RFC 4592, section 2.2.1)."""
    EXPIRED = "expired"
    """A route ends at its expiry."""
    UNFINISHED = "unfinished"
    """A plan that was begun gets done."""
    ANSWERS_DIFFERENTLY = "answers differently"
    """Resolvers say what the zone says, at the latest one TTL after a change."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One broken rule."""

    rule: Rule
    name: str
    """The DNS name it is about; for an unfinished plan the plan's digest."""
    device: DeviceId | None
    """The device of that name; none for the wildcard, a plan, and names that no device can have."""
    expected: str
    found: str
    way_out: str
