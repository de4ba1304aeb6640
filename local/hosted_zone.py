"""The stack's zone as the embedded Route 53 holds it now: read, parsed, and kept for a moment."""

import asyncio
import logging
import re
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from local.zone import NO_PLACE, RecordSet, Zone, ZoneError, normal

if TYPE_CHECKING:
    from mypy_boto3_route53 import Route53Client

MAX_AGE_S = 3.0
"""How old a reading is answered from: a moved device is seen at its new cluster within this."""
REFRESH_AGE_S = 0.5
"""A reading older than this is answered from, and a new one begun beside it: Route 53 shares a process with a broker,
which has stood still for two seconds under a thousand devices, and nobody's name should wait for that."""
_ESCAPE = re.compile(r"\\([0-7]{3})")
"""Route 53 writes characters other than letters, digits, `-` and `_` in octal; the wildcard is `\\052`."""
_NOT_EMULATED = ("AliasTarget", "Weight", "Failover", "MultiValueAnswer", "GeoProximityLocation", "CidrRoutingConfig")
_log = logging.getLogger(__name__)


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
    """The zone, read again when it is asked for and the last reading is not new. Readers at once share one reading."""

    def __init__(self, read: Callable[[], Zone], *, clock: Callable[[], float] = time.monotonic) -> None:
        """`read` is called in a thread. `clock` counts seconds."""
        self._read = read
        self._clock = clock
        self._zone: Zone | None = None
        self._read_at = 0.0
        self._reading: asyncio.Task[None] | None = None

    async def current(self) -> Zone:
        """The zone as it was at most `MAX_AGE_S` ago; what `read` raises, who has to wait for it is told."""
        asked_at = self._clock()
        while self._zone is None or asked_at - self._read_at > MAX_AGE_S:
            await asyncio.shield(self._reading or self._begin())
        if self._reading is None and asked_at - self._read_at > REFRESH_AGE_S:
            self._begin()
        return self._zone

    def _begin(self) -> "asyncio.Task[None]":
        self._reading = asyncio.get_running_loop().create_task(self._renew(self._clock()))
        self._reading.add_done_callback(self._ended)
        return self._reading

    async def _renew(self, started: float) -> None:
        self._zone = await asyncio.to_thread(self._read)
        self._read_at = started

    def _ended(self, reading: "asyncio.Task[None]") -> None:
        """One that failed beside a good zone is tried again by the next who asks."""
        self._reading = None
        if not reading.cancelled() and (error := reading.exception()) is not None:
            _log.warning("the zone could not be read: %s", error)
