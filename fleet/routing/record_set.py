"""Record sets as the hosted zone holds them, and the one that a target projects to."""

import ipaddress
from dataclasses import dataclass

from fleet.routing.target import Target
from protocol.device_id import DeviceId
from protocol.hostnames import DEVICE_TTL_SECONDS, cluster_hostname, device_hostname


@dataclass(frozen=True, order=True)
class RecordSet:
    """A plain record set: no alias, no choosing among several. Names are lower case, without the trailing dot."""

    name: str
    type: str
    ttl: int
    """Seconds."""
    values: tuple[str, ...]

    @property
    def zone_order(self) -> tuple[str, str]:
        """The key Route 53 lists by."""
        return zone_order(self.name), self.type


def zone_order(name: str) -> str:
    """What Route 53 sorts names by: the labels from the root down, as one text with a dot at its end.

    So `d-1` comes before `d`, because a hyphen comes before a dot (ListResourceRecordSets).
    """
    return ".".join(reversed(name.split("."))) + "."


def project(device: DeviceId, target: Target, domain: str) -> RecordSet | None:
    """The record set a device has in the zone while it is sent to `target`; none for the default."""
    name = device_hostname(device, domain)
    if target.cluster:
        return RecordSet(name, "CNAME", DEVICE_TTL_SECONDS, (cluster_hostname(target.cluster, domain),))
    if target.address:
        kind = "A" if ipaddress.ip_address(target.address).version == 4 else "AAAA"
        return RecordSet(name, kind, DEVICE_TTL_SECONDS, (target.address,))
    return None
