"""The stack's zone as the embedded Route 53 holds it now: read, parsed, and kept for a moment."""

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from local.zone import NO_PLACE, RecordSet, Zone, ZoneError, normal

if TYPE_CHECKING:
    from mypy_boto3_route53 import Route53Client

MAX_AGE_S = 1.0
"""How long a reading is answered from: a moved device is seen at its new cluster within this."""
_ESCAPE = re.compile(r"\\([0-7]{3})")
"""Route 53 writes characters other than letters, digits, `-` and `_` in octal; the wildcard is `\\052`."""
_NOT_EMULATED = ("AliasTarget", "Weight", "Failover", "MultiValueAnswer", "GeoProximityLocation", "CidrRoutingConfig")


class ZoneMissingError(ZoneError):
    """There is no such hosted zone (yet)."""


def read_zone(route53: "Route53Client", domain: str) -> Zone:
    """The zone of a domain, whole; `ZoneError` if there is none, or it holds what the desk cannot answer truly."""
    zones = route53.list_hosted_zones_by_name(DNSName=domain)["HostedZones"]
    identifier = next((zone["Id"] for zone in zones if normal(zone["Name"]) == normal(domain)), None)
    if identifier is None:
        raise ZoneMissingError(f"{domain}: the embedded Route 53 has no such zone; deploy the stack first")
    pages = route53.get_paginator("list_resource_record_sets").paginate(HostedZoneId=identifier)
    return Zone(domain, (parse_record_set(entry) for page in pages for entry in page["ResourceRecordSets"]))


def parse_record_set(entry: Mapping[str, Any]) -> RecordSet:
    """A record set from Route 53's answer."""
    name = normal(_ESCAPE.sub(lambda match: chr(int(match[1], 8)), entry["Name"]))
    unknown = [key for key in _NOT_EMULATED if entry.get(key) is not None]
    if unknown:
        raise ZoneError(f"{name} {entry['Type']}: {', '.join(unknown)} is not emulated on the desk")
    return RecordSet(
        name=name,
        type=entry["Type"],
        ttl=int(entry.get("TTL", 0)),
        values=tuple(record["Value"] for record in entry.get("ResourceRecords", ())),
        region=entry.get("Region"),
        place=_place(name, entry.get("GeoLocation")),
    )


def _place(name: str, location: Mapping[str, str] | None) -> str | None:
    if not location:
        return None
    if code := location.get("ContinentCode"):
        return code
    if location.get("CountryCode") == NO_PLACE:
        return NO_PLACE
    raise ZoneError(f"{name}: geolocation by country is not emulated on the desk; use continents")


class HostedZone:
    """The zone, read again when it is asked and the last reading is too old. Readers at once share one reading."""

    def __init__(
        self,
        read: Callable[[], Zone],
        *,
        clock: Callable[[], float] = time.monotonic,
        max_age_s: float = MAX_AGE_S,
    ) -> None:
        """`read` is called in a thread. `clock` counts seconds."""
        self._read = read
        self._clock = clock
        self._max_age_s = max_age_s
        self._zone: Zone | None = None
        self._read_at = 0.0
        self._reading = asyncio.Lock()

    async def current(self) -> Zone:
        """The zone as it was at most `max_age_s` ago; what `read` raises is raised here, and not remembered."""
        async with self._reading:
            if self._zone is None or self._clock() - self._read_at > self._max_age_s:
                self._zone = None
                started = self._clock()
                self._zone = await asyncio.to_thread(self._read)
                self._read_at = started
            return self._zone
