"""What the zone says when a device's name is looked up, from its holding alone (RFC 4592). Pure.

Only the first hop is told: where a device's own name leads. What follows is the same for every device.
"""

from dataclasses import dataclass, field

from fleet.routing.finding import Finding, Rule
from fleet.routing.holding import Holding
from protocol.device_id import DeviceId
from protocol.hostnames import DEVICE_TTL_SECONDS, device_hostname


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What is said to a question for one name and type."""

    exists: bool
    """Whether there is such a name (else NXDOMAIN). One that exists may still have no data of that type."""
    alias: str = ""
    """Where its CNAME leads, lower case, without the trailing dot."""
    values: tuple[str, ...] = ()
    """The data of the type asked for, at the name itself, sorted."""
    chain: tuple[str, ...] = field(default=(), compare=False)
    """All names passed, from the one asked to the last CNAME's target, as far as whoever answered followed."""
    addresses: tuple[str, ...] = field(default=(), compare=False)
    """The data of the type asked for at the end of the chain."""

    def __str__(self) -> str:
        """In words."""
        if self.alias:
            return f"CNAME {self.alias}"
        return " ".join(self.values) or ("no data" if self.exists else "no such name")


def zone_answer(holding: Holding, wildcard: Holding, record_type: str) -> Answer | None:
    """The answer to a question for a name of `holding` itself; none where the zone cannot tell.

    It cannot where an alias, or one of several record sets, stands at the name, or where the name is delegated.
    `wildcard`: the holding of the wildcard's label, which answers for a name that does not exist: one with neither a
    record nor a name below it.
    """
    for source in (holding, wildcard):
        at = f"{source.label}.gw."
        if any(name.startswith(at) for name, _ in source.foreign) or any(each.type == "NS" for each in source.records):
            return None
        if source.records or source.below or source.foreign:
            return _from(source, record_type)
    return Answer(exists=False)


def questions(holding: Holding) -> tuple[str, ...]:
    """The types worth asking for: the one every device asks for, and what else it may find."""
    return ("A", "AAAA") if any(records.type == "AAAA" for records in holding.records) else ("A",)


def compare(device: DeviceId, domain: str, record_type: str, *, zone: Answer, resolver: Answer) -> Finding | None:
    """A finding where a resolver says another thing than the zone."""
    if zone == resolver:
        return None
    return Finding(
        rule=Rule.ANSWERS_DIFFERENTLY,
        name=device_hostname(device, domain),
        device=device,
        expected=f"{record_type}: {zone}",
        found=f"{record_type}: {resolver}",
        way_out=f"a resolver may lag by the TTL, {DEVICE_TTL_SECONDS} s: check again after that; if it stays, "
        "the resolver does not ask this zone",
    )


def _from(source: Holding, record_type: str) -> Answer:
    """What the records of one name say; without any at the name itself it is an empty non-terminal."""
    for records in source.records:
        if records.type == record_type:
            return Answer(exists=True, values=tuple(sorted(records.values)))
        if records.type == "CNAME":
            return Answer(exists=True, alias=records.values[0].rstrip(".").lower())
    return Answer(exists=True)
