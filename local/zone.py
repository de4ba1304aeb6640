"""What a hosted zone answers: RFC 4592 wildcards, CNAME chains, Route 53's choosing record sets. Pure.

A name exists when it has records or when a name below it has (an empty non-terminal). A name that does not exist is
answered from the wildcard at its closest encloser, the longest ancestor that does exist, and from no other; so any
record at a name hides the wildcard there, and one below it does too. `*` covers any number of labels.

Where several record sets share a name and type, Route 53 chooses by who asks; here that is the vantage region. Health
checks are not emulated: every record set counts as healthy.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from fleet.routing.vantage import continent
from local.vantage import nearest

MAX_CHAIN = 16
"""CNAMEs followed in one answer; unbound's default bound is 11, knot's 20."""
NO_PLACE = "*"
"""The geolocation code of the record set for places no other names."""


class Outcome(Enum):
    """How a lookup ends, by its response code (RFC 1035)."""

    NOERROR = 0
    NXDOMAIN = 3
    REFUSED = 5


class ZoneError(Exception):
    """A zone holds what the desk cannot answer truly; names the record set and what it asks for."""


@dataclass(frozen=True)
class RecordSet:
    """A record set, as Route 53 holds it. Names are lower case, absolute, without the trailing dot."""

    name: str
    type: str
    ttl: int
    values: tuple[str, ...]
    region: str | None = None
    """Latency: answered to who is nearest to this region."""
    place: str | None = None
    """Geolocation: a continent's code, or `NO_PLACE`."""


@dataclass(frozen=True)
class Answer:
    """What the zone says to one question."""

    outcome: Outcome
    records: tuple[RecordSet, ...] = ()
    """CNAMEs in the order followed, then the records asked for; names as asked, wildcards already filled in."""

    @property
    def chain(self) -> tuple[str, ...]:
        """Every name passed: the owner of each record set, and where the last CNAME leads."""
        names = [records.name for records in self.records]
        if self.records and self.records[-1].type == "CNAME":
            names.append(normal(self.records[-1].values[0]))
        return tuple(dict.fromkeys(names))

    @property
    def addresses(self) -> tuple[str, ...]:
        """The IPv4 addresses at the end of the chain."""
        return self.records[-1].values if self.records and self.records[-1].type == "A" else ()


class Zone:
    """The record sets of one hosted zone, ready to be asked."""

    def __init__(self, apex: str, record_sets: Iterable[RecordSet]) -> None:
        """Index the record sets; `ZoneError` if there is one this zone cannot hold."""
        self.apex = normal(apex)
        self._sets: dict[str, dict[str, list[RecordSet]]] = {}
        self._existing: set[str] = {self.apex}
        for records in record_sets:
            self._add(records)

    def _add(self, records: RecordSet) -> None:
        if not self.contains(records.name):
            raise ZoneError(f"{records.name} {records.type}: is not under the zone {self.apex}")
        if records.type == "NS" and records.name != self.apex:
            raise ZoneError(f"{records.name} NS: a delegation below {self.apex} is not emulated")
        self._sets.setdefault(records.name, {}).setdefault(records.type, []).append(records)
        name = records.name
        while name not in self._existing:
            self._existing.add(name)
            name = _parent(name)

    def contains(self, name: str) -> bool:
        """Whether a name is the apex or below it."""
        return normal(name) == self.apex or normal(name).endswith(f".{self.apex}")

    def lookup(self, name: str, record_type: str, *, vantage: str) -> Answer:
        """Answer a question as an authoritative server that follows CNAMEs within its zone (RFC 1034 4.3.2, RFC 6604).

        A chain that loops or is longer than `MAX_CHAIN` ends where it does, without an address, as knot answers it.
        `vantage`: the AWS region the asker counts as being in.
        """
        asked = normal(name)
        if not self.contains(asked):
            return Answer(Outcome.REFUSED)
        records: list[RecordSet] = []
        seen: set[str] = set()
        while True:
            source = self._source(asked)
            if source is None:
                return Answer(Outcome.NXDOMAIN, tuple(records))
            found = self._choose(source, record_type, vantage)
            alias = None if found else self._choose(source, "CNAME", vantage)
            if found or alias is None:
                final = [_named(found, asked)] if found else []
                return Answer(Outcome.NOERROR, (*records, *final))
            records.append(_named(alias, asked))
            seen.add(asked)
            asked = normal(alias.values[0])
            if not self.contains(asked):
                return Answer(Outcome.NOERROR, tuple(records))
            if asked in seen or len(records) >= MAX_CHAIN:
                return Answer(Outcome.NOERROR, tuple(records))

    @property
    def soa(self) -> RecordSet | None:
        """The zone's SOA, for negative answers."""
        sets = self._sets.get(self.apex, {}).get("SOA")
        return sets[0] if sets else None

    def _source(self, name: str) -> str | None:
        """The name whose records answer for `name`: itself, the source of synthesis, or none (RFC 4592 3.3)."""
        if name in self._existing:
            return name
        encloser = _parent(name)
        while encloser not in self._existing:
            encloser = _parent(encloser)
        wildcard = f"*.{encloser}"
        return wildcard if wildcard in self._existing else None

    def _choose(self, name: str, record_type: str, vantage: str) -> RecordSet | None:
        sets = self._sets.get(name, {}).get(record_type, [])
        if any(records.region for records in sets):
            region = nearest(vantage, [records.region for records in sets if records.region])
            return next(records for records in sets if records.region == region)
        if any(records.place for records in sets):
            by_place = {records.place: records for records in sets}
            return by_place.get(continent(vantage)) or by_place.get(NO_PLACE)
        return sets[0] if sets else None


def normal(name: str) -> str:
    """A name as it is compared: lower case, without the trailing dot."""
    return name.rstrip(".").lower()


def _parent(name: str) -> str:
    return name.partition(".")[2]


def _named(records: RecordSet, name: str) -> RecordSet:
    return RecordSet(name, records.type, records.ttl, records.values)
