"""Both sides of a comparison on the disk, joined there: a million identities take no more memory than ten."""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from protocol.admission import ManifestEntry
from provisioning.ledger.records import Identity
from provisioning.reconcile.compare import Here, There, ThingThere
from provisioning.reconcile.finding import Finding, Kind

_TABLES = """
CREATE TABLE here (fingerprint TEXT PRIMARY KEY, id INTEGER, device TEXT, item TEXT, is_told INTEGER, is_noted INTEGER)
    WITHOUT ROWID;
CREATE INDEX here_device ON here (device);
CREATE TABLE row (fingerprint TEXT PRIMARY KEY, device TEXT, item TEXT) WITHOUT ROWID;
CREATE INDEX row_device ON row (device);
CREATE TABLE certificate (fingerprint TEXT PRIMARY KEY, status TEXT) WITHOUT ROWID;
CREATE TABLE granted (fingerprint TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE thing (device TEXT PRIMARY KEY, type TEXT, model TEXT, is_devices INTEGER) WITHOUT ROWID;
CREATE TABLE member (device TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE attached (fingerprint TEXT PRIMARY KEY, is_attached INTEGER) WITHOUT ROWID;
CREATE TABLE finding (number INTEGER PRIMARY KEY, kind TEXT, device TEXT, fingerprint TEXT, detail TEXT);
"""
_JOIN = """
SELECT every.fingerprint, here.item, is_told, is_noted, row.item, status, thing.device, type, model,
    granted.fingerprint IS NOT NULL OR member.device IS NOT NULL, is_attached
FROM (SELECT fingerprint FROM here UNION SELECT fingerprint FROM row UNION SELECT fingerprint FROM certificate) AS every
LEFT JOIN here USING (fingerprint) LEFT JOIN row USING (fingerprint) LEFT JOIN certificate USING (fingerprint)
LEFT JOIN granted USING (fingerprint) LEFT JOIN attached USING (fingerprint)
LEFT JOIN thing ON thing.device = here.device LEFT JOIN member ON member.device = here.device
ORDER BY here.id, every.fingerprint
"""
_SEVERAL = """
SELECT device FROM row WHERE device <> '' GROUP BY device HAVING count(*) > 1
UNION SELECT row.device FROM row JOIN here ON here.device = row.device AND here.fingerprint <> row.fingerprint
ORDER BY 1
"""
"""Devices with more than one certificate on both sides together."""
_OF_DEVICE = """
SELECT item FROM here WHERE device = ?1 AND is_told
UNION ALL SELECT item FROM row WHERE device = ?1 AND fingerprint NOT IN (SELECT fingerprint FROM here WHERE device = ?1)
"""
"""Of a certificate that the ledger holds, its word counts: what it ended is ended, and the next sync says so."""
_LONELY = """
SELECT device FROM thing WHERE is_devices AND NOT EXISTS (SELECT 1 FROM here WHERE here.device = thing.device)
AND NOT EXISTS (SELECT 1 FROM row WHERE row.device = thing.device) ORDER BY device
"""


@dataclass(frozen=True)
class Spool:
    """One cluster's two sides."""

    connection: sqlite3.Connection

    @classmethod
    @contextmanager
    def open(cls, folder: Path) -> Iterator[Self]:
        """An empty one, in a folder that is thrown away afterwards: nothing in it need survive anything."""
        connection = sqlite3.connect(folder / "spool.db", isolation_level=None)
        try:
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("PRAGMA journal_mode = OFF")
            connection.executescript(_TABLES)
            yield cls(connection)
        finally:
            connection.close()

    def put_here(self, identities: Iterable[tuple[Identity, bool, bool]]) -> None:
        """Identities of the ledger, each with whether it is told and noted."""
        self._put(
            "here",
            (
                (each.fingerprint, each.issuance, each.device, json.dumps(each.entry.to_item()), is_told, is_noted)
                for each, is_told, is_noted in identities
            ),
        )

    def put_rows(self, items: Iterable[Mapping[str, str]]) -> None:
        """Items of the manifest."""
        self._put("row", ((item["fingerprint"], item.get("device", ""), json.dumps(item)) for item in items))

    def put_certificates(self, certificates: Iterable[tuple[str, str]]) -> None:
        """Id and status of each."""
        self._put("certificate", certificates)

    def put_granted(self, fingerprints: Iterable[str]) -> None:
        """Certificates that carry the policy themselves."""
        self._put("granted", ((each,) for each in fingerprints))

    def put_things(self, things: Iterable[tuple[str, str, str, bool]]) -> None:
        """Name, type, model, and whether it looks like a device's."""
        self._put("thing", things)

    def put_members(self, devices: Iterable[str]) -> None:
        """Things of the group that carries the policy."""
        self._put("member", ((each,) for each in devices))

    def put_attached(self, fingerprint: str, *, is_attached: bool) -> None:
        """Whether a certificate is attached to its thing."""
        self._put("attached", [(fingerprint, is_attached)])

    def put_finding(self, finding: Finding) -> None:
        """A difference, kept until all is compared."""
        self._put("finding", [(None, finding.kind, finding.device, finding.fingerprint, finding.detail)])

    def findings(self) -> Iterator[Finding]:
        """Those that were kept, in their order."""
        rows = self.connection.execute("SELECT kind, device, fingerprint, detail FROM finding ORDER BY number")
        for kind, device, fingerprint, detail in rows:
            yield Finding(kind=Kind(kind), device=device, fingerprint=fingerprint, detail=detail)

    def active(self) -> Iterator[tuple[str, str]]:
        """Fingerprint and device of each active certificate that the ledger knows."""
        yield from self.connection.execute(
            "SELECT fingerprint, device FROM here JOIN certificate USING (fingerprint) WHERE status = 'ACTIVE'"
        )

    def count(self) -> int:
        """How many certificates there are on either side."""
        (count,) = self.connection.execute(
            "SELECT count(*) FROM (SELECT fingerprint FROM here UNION SELECT fingerprint FROM row "
            "UNION SELECT fingerprint FROM certificate)"
        ).fetchone()
        return int(count)

    def pairs(self) -> Iterator[tuple[str, Here | None, There]]:
        """Each certificate with what it is here and there."""
        for (
            fingerprint,
            mine,
            is_told,
            is_noted,
            item,
            status,
            thing,
            kind,
            model,
            granted,
            attached,
        ) in self.connection.execute(_JOIN):
            here = mine and Here(
                entry=ManifestEntry.from_item(json.loads(mine)), is_told=bool(is_told), is_noted=bool(is_noted)
            )
            there = There(
                item=item and json.loads(item),
                status=status,
                thing=thing and ThingThere(thing_type=kind, model=model),
                has_policy=bool(granted),
                is_attached=None if attached is None else bool(attached),
            )
            yield fingerprint, here or None, there

    def several(self) -> Iterator[tuple[str, list[dict[str, str]]]]:
        """Each device with more than one certificate, and the items of those that clusters are told of."""
        for (device,) in self.connection.execute(_SEVERAL):
            yield device, [json.loads(item) for (item,) in self.connection.execute(_OF_DEVICE, (device,))]

    def lonely_things(self) -> Iterator[str]:
        """Things that look like a device's, of devices that neither side has a certificate of."""
        return (device for (device,) in self.connection.execute(_LONELY))

    def _put(self, table: str, rows: Iterable[tuple[object, ...]]) -> None:
        cursor = self.connection.execute(f"SELECT * FROM {table} LIMIT 0")  # noqa: S608  # our own names
        marks = ", ".join("?" * len(cursor.description))
        self.connection.execute("BEGIN")
        self.connection.executemany(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", rows)  # noqa: S608  # our own names
        self.connection.execute("COMMIT")
