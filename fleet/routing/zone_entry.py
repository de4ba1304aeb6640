"""A record set as Route 53 lists it, whatever its kind: plain, an alias, or one of several that it chooses among."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype

from fleet.errors import RefusedError

_ESCAPE = re.compile(r"\\([0-7]{3}|.)", re.DOTALL)
_POLICIES = {
    "Region": "latency",
    "GeoLocation": "geolocation",
    "Weight": "weighted",
    "Failover": "failover",
    "MultiValueAnswer": "multivalue answer",
    "GeoProximityLocation": "geoproximity",
    "CidrRoutingConfig": "IP-based",
}
"""Route 53's routing policies by the key that states them (ResourceRecordSet in its API reference)."""


@dataclass(frozen=True, kw_only=True)
class ZoneEntry:
    """One record set. Names and values are as master files write them (RFC 1035, section 5.1)."""

    name: dns.name.Name
    type: str
    ttl: int
    """Seconds; 0 of an alias, which has none."""
    values: tuple[str, ...]
    """Data in the presentation format, names absolute, sorted."""
    alias: dns.name.Name | None = None
    policy: str = ""
    """The routing policy, where it is one of several of its name and type."""
    identifier: str = ""
    """Which of them."""
    choice: str = ""
    """What the policy goes by: a region, a continent's code, `*` for every other place."""
    has_health_check: bool = False


def read_entry(listed: Mapping[str, Any]) -> ZoneEntry:
    """The record set in an item of ListResourceRecordSets; `RefusedError` for one that is no valid DNS data."""
    try:
        return _entry(listed)
    except (dns.exception.DNSException, ValueError) as error:
        raise RefusedError(
            f"{listed['Name']} {listed['Type']}: is no DNS data that a zone file can hold ({error}); correct it first"
        ) from error


def _entry(listed: Mapping[str, Any]) -> ZoneEntry:
    alias = listed.get("AliasTarget")
    kind = str(listed["Type"])
    policy = next((_POLICIES[key] for key in _POLICIES if listed.get(key) is not None), "")
    return ZoneEntry(
        name=read_name(listed["Name"]),
        type=kind,
        ttl=int(listed.get("TTL", 0)),
        values=tuple(sorted(read_value(kind, record["Value"]) for record in listed.get("ResourceRecords", ()))),
        alias=read_name(alias["DNSName"]) if alias else None,
        policy=policy,
        identifier=str(listed.get("SetIdentifier", "")),
        choice=_choice(listed),
        has_health_check=bool(listed.get("HealthCheckId")),
    )


def read_name(text: str) -> dns.name.Name:
    """A name as Route 53 writes it: absolute with or without the trailing dot, in lower case, escapes in octal."""
    return dns.name.from_text(_master(text), origin=dns.name.root).canonicalize()


def read_value(kind: str, text: str) -> str:
    """One record's data as a master file has it: escapes in decimal, names absolute, character strings quoted."""
    data = dns.rdata.from_text(
        dns.rdataclass.IN, dns.rdatatype.from_text(kind), _master(text), origin=dns.name.root, relativize=False
    )
    return data.to_text()


def _master(text: str) -> str:
    """Octal escapes as decimal ones; every other escaped character stays as it is (Route 53 Developer Guide)."""
    return _ESCAPE.sub(lambda match: f"\\{int(match[1], 8):03d}" if len(match[1]) == 3 else match[0], text)


def _choice(listed: Mapping[str, Any]) -> str:
    place = listed.get("GeoLocation") or {}
    return str(listed.get("Region") or place.get("ContinentCode") or place.get("CountryCode") or "")
