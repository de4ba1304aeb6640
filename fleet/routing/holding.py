"""What the route table and the hosted zone hold of one name under `gw.<domain>`, brought together name by name.

Both are read once, in whatever order they come, and sorted on disk: memory stays the same however large the fleet is.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, groupby
from pathlib import Path
from typing import Any

from fleet.routing.record_set import RecordSet
from fleet.routing.route import Kind, Route, State
from fleet.routing.target import Target
from fleet.routing.zone import Page
from protocol.device_id import DeviceId, InvalidDeviceIdError, parse_device_id
from protocol.hostnames import DEVICE_ZONE_LABEL

WILDCARD_LABEL = "*"
_CACHE_KIB = 65_536
"""Of the sorted file kept in memory; the rest is the disk's."""


@dataclass(frozen=True, kw_only=True)
class Holding:
    """One name, and all there is about it."""

    label: str
    """The label below `gw`: a device id as a rule, `WILDCARD_LABEL`, or empty for `gw.<domain>` itself."""
    route: Route | None = None
    """As it stands."""
    records: tuple[RecordSet, ...] = ()
    """At the name."""
    below: tuple[RecordSet, ...] = ()
    """At names below it, however deep."""
    foreign: tuple[tuple[str, str], ...] = ()
    """Name and type, at it or below: aliases, and sets that choose among several. No tool of ours makes or removes
    them."""

    @property
    def device(self) -> DeviceId | None:
        """The device of that name, if any can have it."""
        try:
            return parse_device_id(self.label)
        except InvalidDeviceIdError:
            return None


def device_zone(domain: str) -> str:
    """The name that all devices' names are below."""
    return f"{DEVICE_ZONE_LABEL}.{domain}"


def label_of(name: str, domain: str) -> str | None:
    """The label below `gw` that a name is at or below; empty for `gw.<domain>`, none for a name elsewhere."""
    zone = device_zone(domain)
    if name == zone:
        return ""
    rest = name.removesuffix(f".{zone}")
    return rest.rpartition(".")[2] if rest != name else None


def gather(
    label: str,
    domain: str,
    *,
    route: Route | None = None,
    record_sets: Iterable[RecordSet] = (),
    foreign: Iterable[tuple[str, str]] = (),
) -> Holding:
    """The holding of one label, from all that belongs to it."""
    name = f"{label}.{device_zone(domain)}" if label else device_zone(domain)
    sets = sorted(record_sets)
    return Holding(
        label=label,
        route=route,
        records=tuple(records for records in sets if records.name == name),
        below=tuple(records for records in sets if records.name != name),
        foreign=tuple(sorted(foreign)),
    )


def holdings(
    routes: Iterable[Route], pages: Iterable[Page], domain: str, folder: Path, *, always: Iterable[str] = ()
) -> Iterator[Holding]:
    """Every name that either side knows, the wildcard and the labels in `always`, sorted by label.

    `pages`: of the zone, in any order; names elsewhere are passed over. `folder`: an empty one of the caller's, which
    takes about 400 bytes a route and record set for as long as the iterator lives.
    """
    database = sqlite3.connect(folder / "holdings", isolation_level=None)
    try:
        database.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        # Nothing outlives the process: what a crash leaves of the file is never read.
        database.execute("PRAGMA journal_mode = OFF")
        database.execute("PRAGMA synchronous = OFF")
        database.execute(
            "CREATE TABLE held (label TEXT, number INTEGER, part TEXT, item TEXT, PRIMARY KEY (label, number)) "
            "WITHOUT ROWID"
        )
        _fill(database, chain(_items(routes, pages, domain), _asked((WILDCARD_LABEL, *always))))
        rows = database.execute("SELECT label, part, item FROM held ORDER BY label, number")
        for label, parts in groupby(rows, key=lambda row: str(row[0])):
            yield _gathered(label, domain, [(part, json.loads(item)) for _, part, item in parts])
    finally:
        database.close()


def _fill(database: sqlite3.Connection, items: Iterable[tuple[str, str, Any]]) -> None:
    """Number what comes, so that two alike stay two."""
    database.execute("BEGIN")
    database.executemany(
        "INSERT INTO held VALUES (?, ?, ?, ?)",
        ((label, number, part, json.dumps(item)) for number, (label, part, item) in enumerate(items)),
    )
    database.execute("COMMIT")


def _items(routes: Iterable[Route], pages: Iterable[Page], domain: str) -> Iterator[tuple[str, str, Any]]:
    """What is known, as label, part and a value for JSON."""
    for route in routes:
        yield route.device, "route", _route_item(route)
    for page in pages:
        for records in page.record_sets:
            label = label_of(records.name, domain)
            if label is not None:
                yield label, "records", (records.name, records.type, records.ttl, records.values)
        for name, kind in page.others:
            label = label_of(name, domain)
            if label is not None:
                yield label, "foreign", (name, kind)


def _asked(labels: Iterable[str]) -> Iterator[tuple[str, str, Any]]:
    """Labels that are asked for even where nothing is known."""
    return ((label, "nothing", None) for label in labels)


def _gathered(label: str, domain: str, parts: list[tuple[str, Any]]) -> Holding:
    routes = [_route(item) for part, item in parts if part == "route"]
    return gather(
        label,
        domain,
        route=routes[-1] if routes else None,
        record_sets=(
            RecordSet(name, kind, ttl, tuple(values))
            for part, item in parts
            if part == "records"
            for name, kind, ttl, values in [item]
        ),
        foreign=((item[0], item[1]) for part, item in parts if part == "foreign"),
    )


def _route_item(route: Route) -> dict[str, Any]:
    return {
        **vars(route),
        "target": str(route.target),
        "returns_to": str(route.returns_to),
        "expires": _time_text(route.expires),
        "changed_at": _time_text(route.changed_at),
        "state_since": _time_text(route.state_since),
    }


def _route(item: Mapping[str, Any]) -> Route:
    return Route(
        **{
            **item,
            "target": Target.parse(item["target"]),
            "returns_to": Target.parse(item["returns_to"]),
            "kind": Kind(item["kind"]),
            "state": State(item["state"]),
            "expires": _time(item["expires"]),
            "changed_at": datetime.fromisoformat(item["changed_at"]),
            "state_since": _time(item["state_since"]),
        }
    )


def _time_text(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
