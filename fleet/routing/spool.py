"""Fleet, routes and requests in a temporary SQLite file, joined in the order of devices.

They arrive in any order and from several tables; a plan needs them side by side and sorted. Kept on disk, so that the
memory a plan takes does not grow with the fleet.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, Self

from fleet.routing.csv_file import Problems
from fleet.routing.requests import WantedRow
from fleet.routing.roster import RosterRow
from fleet.routing.route import Kind, Route
from fleet.routing.target import DEFAULT, Target
from protocol.device_id import DeviceId

_CACHE_KIB = 32_768
"""What SQLite may hold in memory, the same for every fleet."""
_REMEMBERED = 4_096
_SCHEMA = f"""
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -{_CACHE_KIB};
CREATE TABLE fleet (
  device TEXT PRIMARY KEY, line INTEGER, model TEXT, country TEXT, residency TEXT, clusters INTEGER, member INTEGER,
  again INTEGER
) WITHOUT ROWID;
CREATE TABLE route (
  device TEXT PRIMARY KEY, revision INTEGER, target TEXT, kind TEXT, owner TEXT, reason TEXT, expires TEXT,
  returns_to TEXT
) WITHOUT ROWID;
CREATE TABLE wanted (
  device TEXT, line INTEGER, target TEXT, kind TEXT, owner TEXT, reason TEXT, expires TEXT, returns_to TEXT,
  PRIMARY KEY (device, line)
) WITHOUT ROWID;
CREATE TABLE refused (device TEXT, target_before TEXT, target_after TEXT, reason TEXT);
"""
_PUT_ROSTER = """
INSERT INTO fleet VALUES (?, ?, ?, ?, ?, 0, 1, 0)
ON CONFLICT (device) DO UPDATE SET again = excluded.line
WHERE (model, country, residency) IS NOT (excluded.model, excluded.country, excluded.residency)
"""
_PUT_LISTED = """
INSERT INTO fleet VALUES (?, 0, ?, '', '', {bit}, {is_roster}, 0)
ON CONFLICT (device) DO UPDATE SET clusters = clusters | excluded.clusters,
  model = CASE WHEN model = '' THEN excluded.model ELSE model END
"""
_STANDING = """fleet.model, fleet.country, fleet.residency, fleet.clusters, route.revision, route.target, route.kind,
  route.owner, route.reason, route.expires, route.returns_to"""


class Standing(NamedTuple):
    """One device as planning knows it. Texts are empty where nothing is known."""

    device: DeviceId
    model: str
    country: str
    residency: str
    listed_in: int
    """A bit for each cluster whose manifest lists the device, in the order of `Spool.clusters`."""
    revision: int
    """0 without a route of its own."""
    target: Target
    kind: Kind
    owner: str
    reason: str
    expires: datetime | None
    returns_to: Target


class Refusal(NamedTuple):
    """A device that is left where it is, and why."""

    device: str
    before: Target
    after: Target | None
    """None where nothing would take it."""
    reason: str


class Census(NamedTuple):
    """The fleet, counted."""

    size: int
    """Devices."""
    sent_to: dict[Target, int]
    """Devices by where they are sent; pins and addresses are not looked at."""
    with_records: int
    """Devices that have a record of their own by their route."""


class Spool:
    """The temporary file; `open` makes it and takes it away."""

    def __init__(self, connection: sqlite3.Connection, clusters: Iterable[str]) -> None:
        self.clusters = tuple(clusters)
        self._connection = connection

    @classmethod
    @contextmanager
    def open(cls, clusters: Iterable[str], folder: Path | None = None) -> Iterator[Self]:
        """An empty spool for these clusters; it lies in `folder`, or where the system keeps temporary files."""
        with TemporaryDirectory(prefix="flotilla-plan-", dir=folder) as place:
            connection = sqlite3.connect(Path(place) / "spool.db", isolation_level=None)
            try:
                connection.executescript(_SCHEMA)
                connection.execute("BEGIN")
                yield cls(connection, clusters)
            finally:
                connection.close()

    def put_roster(self, rows: Iterable[RosterRow], problems: Problems) -> None:
        """The devices of a roster file; lines that contradict each other are told."""
        self._connection.executemany(_PUT_ROSTER, rows)
        for device, line, again in self._connection.execute("SELECT device, line, again FROM fleet WHERE again"):
            problems.add(again, "device", f"{device} is another in line {line}", "remove one of the two")

    def put_listed(self, cluster: str, devices: Iterable[tuple[str, str]], *, is_roster: bool) -> None:
        """Devices, each with its model, that a cluster's manifest lists. `is_roster`: they make up the fleet."""
        bit = 1 << self.clusters.index(cluster)
        self._connection.executemany(_PUT_LISTED.format(bit=bit, is_roster=int(is_roster)), devices)

    def put_routes(self, routes: Iterable[Route]) -> None:
        """Routes as they stand."""
        self._connection.executemany(
            "INSERT INTO route VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (
                    route.device,
                    route.revision,
                    str(route.target),
                    route.kind.value,
                    route.owner,
                    route.reason,
                    route.expires and route.expires.isoformat(),
                    str(route.returns_to),
                )
                for route in routes
            ),
        )

    def put_wanted(self, rows: Iterable[WantedRow]) -> None:
        """What is asked for, in any order; a device may come several times."""
        self._connection.executemany(
            "INSERT INTO wanted VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (
                    row.device,
                    row.line,
                    str(row.target),
                    row.kind.value,
                    row.owner,
                    row.reason,
                    row.expires and row.expires.isoformat(),
                    row.returns_to and str(row.returns_to),
                )
                for row in rows
            ),
        )

    def put_refused(self, refusal: Refusal) -> None:
        """A device that is left where it is."""
        after = refusal.after and str(refusal.after)
        self._connection.execute(
            "INSERT INTO refused VALUES (?, ?, ?, ?)", (refusal.device, str(refusal.before), after, refusal.reason)
        )

    def refused(self) -> Iterator[Refusal]:
        """Those left where they are, in the order they were put."""
        for device, before, after, reason in self._connection.execute("SELECT * FROM refused ORDER BY rowid"):
            yield Refusal(device, _target(before), _target(after) if after else None, reason)

    def forget_routes(self) -> None:
        """Make room for all of them, after a few."""
        self._connection.execute("DELETE FROM route")

    def wanted_devices(self, most: int) -> tuple[DeviceId, ...] | None:
        """The devices that are asked for, if they are at most so many."""
        rows = self._connection.execute("SELECT DISTINCT device FROM wanted LIMIT ?", (most + 1,)).fetchall()
        return tuple(device for (device,) in rows) if len(rows) <= most else None

    def members(self) -> Iterator[Standing]:
        """The fleet, in the order of devices."""
        rows = self._connection.execute(
            f"SELECT fleet.device, {_STANDING} FROM fleet LEFT JOIN route USING (device) "  # noqa: S608
            f"WHERE member ORDER BY fleet.device"
        )
        for row in rows:
            yield _standing(row)

    def asked(self) -> Iterator[tuple[WantedRow, Standing | None]]:
        """What is asked for, in the order of devices and then of lines; none for a device that the fleet lacks."""
        rows = self._connection.execute(
            f"SELECT wanted.*, fleet.member, wanted.device, {_STANDING} FROM wanted "  # noqa: S608
            f"LEFT JOIN fleet USING (device) LEFT JOIN route USING (device) ORDER BY wanted.device, wanted.line"
        )
        for device, line, target, kind, owner, reason, expires, returns_to, is_member, *rest in rows:
            wanted = WantedRow(
                device,
                line,
                _target(target),
                _KINDS[kind],
                owner,
                reason,
                _time(expires) if expires else None,
                _target(returns_to) if returns_to else None,
            )
            yield wanted, _standing(rest) if is_member else None

    def census(self) -> Census:
        """The fleet as it stands now, counted."""
        ask = self._connection.execute
        (size,) = ask("SELECT count(*) FROM fleet WHERE member").fetchone()
        counted = ask(
            "SELECT target, count(*) FROM route JOIN fleet USING (device) WHERE member GROUP BY target"
        ).fetchall()
        sent_to = {_target(target): count for target, count in counted}
        (records,) = ask("SELECT count(*) FROM route WHERE target <> ?", (str(DEFAULT),)).fetchone()
        sent_to[DEFAULT] = size - sum(count for target, count in sent_to.items() if target != DEFAULT)
        return Census(size, sent_to, records)


_KINDS = {kind.value: kind for kind in Kind}
_target = lru_cache(_REMEMBERED)(Target.parse)
_time = lru_cache(_REMEMBERED)(datetime.fromisoformat)


def _standing(row: Sequence[Any]) -> Standing:
    device, model, country, residency, listed, revision, target, kind, owner, reason, expires, returns_to = row
    if revision is None:
        return Standing(device, model, country, residency, listed, 0, DEFAULT, Kind.MOVE, "", "", None, DEFAULT)
    return Standing(
        device,
        model,
        country,
        residency,
        listed,
        revision,
        _target(target),
        _KINDS[kind],
        owner,
        reason,
        _time(expires) if expires else None,
        _target(returns_to) if expires else DEFAULT,
    )
