"""A hosted zone as a standard master file (RFC 1035, section 5), for any DNS server. Pure.

A master file cannot say that an answer depends on who asks. Where Route 53 chooses among several record sets, the one
that a vantage region would be given is written, and a comment and a note say so; health checks are told and left out.
An alias to a name in the zone is written as the records that stand there; any other alias is refused, because leaving
it out would hand its name to the wildcard.

The order is ours: the SOA, the other records of the apex, then names in DNSSEC's canonical order (RFC 4034, section
6.1), types by name, data sorted. So two exports of the same zone are equal byte by byte.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import dns.name

from fleet.errors import RefusedError
from fleet.routing.vantage import continent
from fleet.routing.zone_entry import ZoneEntry

ANYWHERE = "*"
"""The geolocation of the record set for every place that no other names."""


@dataclass(frozen=True)
class ZoneFile:
    """What is written, and what cannot be."""

    text: str
    notes: tuple[str, ...]
    """What the file leaves out or decides, one sentence each."""
    record_sets: int


def zone_file(entries: Iterable[ZoneEntry], domain: str, vantage: str) -> ZoneFile:
    """The zone of `domain` as it is seen from the AWS region `vantage`.

    `RefusedError` for what cannot be said so, and for a zone without its SOA, which no server would load.
    """
    apex = dns.name.from_text(domain).canonicalize()
    notes: list[str] = []
    chosen = list(_chosen(entries, vantage, notes))
    if not any(each.name == apex and each.type == "SOA" for each in chosen):
        raise RefusedError(f"{domain}: the zone has no SOA record set; is this its zone id?")
    by_key = {(each.name, each.type): each for each in chosen}
    flat = [_flat(each, by_key, notes) for each in chosen]
    flat.sort(key=lambda each: (each.name != apex, each.name, each.type != "SOA", each.type))
    lines = [f"; {domain} as seen from {vantage}", *(f"; {note}" for note in notes)]
    lines += [f"{each.name} {each.ttl} IN {each.type} {value}" for each in flat for value in each.values]
    return ZoneFile("\n".join(lines) + "\n", tuple(notes), len(flat))


def _chosen(entries: Iterable[ZoneEntry], vantage: str, notes: list[str]) -> Iterator[ZoneEntry]:
    """One record set of each name and type, or none where Route 53 gives none."""
    in_order = sorted(entries, key=lambda each: (each.name, each.type, each.identifier))
    for _, group in groupby(in_order, key=lambda each: (each.name, each.type)):
        several = list(group)
        chosen = _choose(several, vantage)
        notes += _choice_notes(several, chosen, vantage)
        yield from [] if chosen is None else [chosen]


def _choose(several: Sequence[ZoneEntry], vantage: str) -> ZoneEntry | None:
    """The one that Route 53 gives to whoever asks at `vantage`, all being healthy."""
    policy = several[0].policy
    by_choice: Mapping[str, ZoneEntry] = {each.choice: each for each in several}
    if not policy:
        return several[0]
    if policy == "latency":
        if vantage not in by_choice:
            raise RefusedError(
                f"{_title(several[0])}: Route 53 chooses by latency, and {vantage} is none of its regions; give "
                f"--vantage one of {', '.join(sorted(by_choice))}"
            )
        return by_choice[vantage]
    if policy == "geolocation":
        return by_choice.get(continent(vantage) or ANYWHERE) or by_choice.get(ANYWHERE)
    raise RefusedError(
        f"{_title(several[0])}: is chosen by Route 53's {policy} routing, of which a zone file can say nothing; make "
        "it a plain record set first"
    )


def _choice_notes(several: Sequence[ZoneEntry], chosen: ZoneEntry | None, vantage: str) -> Iterator[str]:
    first = several[0]
    if first.policy:
        given = "nothing" if chosen is None else f"{', '.join(chosen.values)} ({chosen.choice})"
        others = [f"{', '.join(each.values)} ({each.choice})" for each in several if each is not chosen]
        left = f"; left out: {'; '.join(others)}" if others else ""
        yield f"{_title(first)}: chosen by {first.policy}; {vantage} is given {given}{left}"
    if any(each.has_health_check for each in several):
        yield f"{_title(first)}: has a health check, which this file cannot say; it is written as healthy"


def _flat(entry: ZoneEntry, by_key: Mapping[tuple[dns.name.Name, str], ZoneEntry], notes: list[str]) -> ZoneEntry:
    """The entry, an alias as what it leads to."""
    if entry.alias is None:
        return entry
    passed, at = [entry], entry
    while at.alias is not None:
        found = by_key.get((at.alias, entry.type))
        if found is None or found in passed:
            raise RefusedError(
                f"{_title(entry)}: is an alias to {_text(entry.alias)}, which is no {entry.type} record set of this "
                "zone; a zone file cannot say that: make it a plain record set first"
            )
        passed.append(found)
        at = found
    notes.append(f"{_title(entry)}: an alias to {_text(entry.alias)}, written as the records that stand there now")
    return replace(entry, ttl=at.ttl, values=at.values, alias=None)


def _title(entry: ZoneEntry) -> str:
    return f"{_text(entry.name)} {entry.type}"


def _text(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True)
