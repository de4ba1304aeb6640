"""A batch from end to end: scanned, checked whole, issued in parts by several processes, put together, reported."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, as_completed
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding

from provisioning.bulk.duplicates import Seen
from provisioning.bulk.failed import failed_header
from provisioning.bulk.folder import (
    CERTIFICATES,
    CERTIFICATES_HEADER,
    FAILED,
    KEYS,
    KEYS_HEADER,
    REPORT,
    Folder,
)
from provisioning.bulk.line import Checked, Done, Line
from provisioning.bulk.problems import SHOWN, Problem, Problems
from provisioning.bulk.rows import Defaults, request_column
from provisioning.bulk.table import Part, Row, Table, add_repeats
from provisioning.durable import PRIVATE
from provisioning.errors import StationError
from provisioning.ledger.ledger import Ledger
from provisioning.ledger.seal import seal
from provisioning.processes import processes
from provisioning.signer import Signer
from provisioning.station import Station
from provisioning.station_key import STATION_PUBLIC_KEY_FILE

ALONE = 2_000
"""Up to so many rows, other processes would take longer to start than they save."""

Progress = Callable[[int], None]
"""Hears how many more rows are done."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """A file, and how it is to be issued."""

    table: Table
    defaults: Defaults
    folder: Folder
    has_bundles: bool
    key_passphrase: bytes | None = field(default=None, repr=False)
    """What the keys that are made here are encrypted with; None where they are not."""

    @property
    def signers(self) -> list[str]:
        """Who signs for the rows."""
        return sorted(self.table.authorities | {self.defaults.authority or ""} - {""})

    @property
    def claim(self) -> dict[str, Any]:
        """What the folder says it is of."""
        return {
            "file": self.table.path.name,
            "sha256": self.table.digest,
            "rows": self.table.rows,
            "model": self.defaults.model,
            "authority": self.defaults.authority,
            "bundles": self.has_bundles,
            **({} if self.key_passphrase is None else {"keys": "encrypted"}),
        }

    def report(self) -> dict[str, Any] | None:
        """Its report, if it is done; that of another file or of other options is none."""
        found = self.folder.report() or {}
        return found if {name: found[name] for name in (*self.claim, "keys") if name in found} == self.claim else None

    def line(self, station: Station) -> Line:
        """The batch at a station."""
        return Line(
            station=station,
            table=self.table,
            defaults=self.defaults,
            folder=self.folder,
            has_bundles=self.has_bundles,
            key_passphrase=self.key_passphrase,
        )


def check_batch(
    batch: Batch, station: Station, opener: Callable[[], Station], *, jobs: int, progress: Progress
) -> Problems:
    """What is wrong with the rows, each by itself, and keys that two of them share; nothing is written."""
    found, keys = Problems(), Seen()
    for checked in _each_part(batch, station, opener, jobs=jobs, progress=progress):
        found.take(checked.problems)
        keys.take(checked.keys)
    add_repeats(batch.table, keys, found, _key_twice)
    return found


def _each_part(
    batch: Batch, station: Station, opener: Callable[[], Station], *, jobs: int, progress: Progress
) -> Iterator[Checked]:
    parts = batch.table.parts
    if jobs == 1 or batch.table.rows <= ALONE:
        line = batch.line(station)
        for part in parts:
            yield line.check(part)
            progress(part.rows)
    else:
        with processes(jobs, _open_line, opener, batch) as pool:
            yield from _finished({pool.submit(_check, part): part for part in parts}, progress)


def _key_twice(row: Row, first: int) -> Problem:
    text = f"its key is that of line {first} already, and one key is one device; make a new one"
    return Problem(row.line, request_column(row), text)


def issue_batch(
    batch: Batch, station: Station, opener: Callable[[], Station], *, jobs: int, progress: Progress
) -> Done:
    """Every row issued and delivered, or among the failed; in a folder that is `held`.

    `StationError` when rows wait, once all that can be done is done: see `line`.
    """
    if batch.key_passphrase is not None:
        batch.folder.check_passphrase(batch.key_passphrase)
    parts = batch.table.parts
    done: list[Done] = []
    if jobs == 1 or batch.table.rows <= ALONE:
        line = batch.line(station)
        with Ledger.open(station.factory, station.environment.name, create=True) as ledger:
            for part in parts:
                done.append(line.issue(part, ledger))
                progress(part.rows)
    else:
        with processes(jobs, _open_line, opener, batch) as pool:
            done += _finished({pool.submit(_issue, part): part for part in parts}, progress)
    if waiting := sorted((each for part in done for each in part.waiting), key=lambda each: each.line):
        raise StationError(_told(batch.table, waiting))
    return Done(sum(each.issued for each in done), sum(each.failed for each in done))


def _told(table: Table, waiting: Sequence[Problem]) -> str:
    """The first row that waits, and the lines of the next ones."""
    first, others = waiting[0], [f"{each.line}" for each in waiting[1 : SHOWN + 1]]
    more = f" and {len(waiting) - 1 - len(others):,} more" if len(waiting) - 1 > len(others) else ""
    also = f"; so do lines {', '.join(others)}{more}" if others else ""
    parts = "its part of the batch waits with it, all others are done"
    return f"{table.path}:{first.line}: {first.text}. This row waits with its key{also}; {parts}"


def finish(batch: Batch, station: Station, signer: Signer, done: Done, *, begun: datetime) -> dict[str, Any]:
    """Put the parts together, seal the ledger, and write the report with the station's signature, last of all."""
    folder, indexes = batch.folder, [part.index for part in batch.table.parts]
    files = {
        CERTIFICATES: folder.join(CERTIFICATES, indexes, CERTIFICATES_HEADER),
        KEYS: folder.join(KEYS, indexes, KEYS_HEADER, mode=PRIVATE),
        FAILED: folder.join(FAILED, indexes, failed_header(batch.table)),
    }
    folder.write("trust-anchors.pem", station.trust_anchors)
    for name in batch.signers:
        issuers = b"".join(each.public_bytes(Encoding.PEM) for each in station.signers.issuers(name))
        folder.write(f"{name}.issuers.pem", issuers)
    with Ledger.open(station.factory, station.environment.name) as ledger:
        about = f"batch {batch.table.digest} ({batch.table.path.name}): {done.issued} of {batch.table.rows} rows"
        sealed = seal(ledger, signer, about, at=station.clock())
    report = {
        **batch.claim,
        "environment": station.environment.name,
        "issued": done.issued,
        "failed": done.failed,
        "begun": begun.isoformat(),
        "ended": station.clock().isoformat(),
        "seal": sealed.number,
        "station": hashlib.sha256(sealed.public_key).hexdigest(),
        "files": {name: digest for name, digest in files.items() if digest is not None},
    }
    document = json.dumps(report, indent=2).encode() + b"\n"
    folder.write(STATION_PUBLIC_KEY_FILE, (station.factory / STATION_PUBLIC_KEY_FILE).read_bytes())
    folder.write(f"{REPORT}.sig", signer.sign(document))
    folder.write(REPORT, document)
    folder.forget_parts()
    return report


def _finished(running: dict[Future[Any], Part], progress: Progress) -> Iterator[Any]:
    """The results as they come; none is kept here."""
    for each in as_completed(running):
        part = running.pop(each)
        yield each.result()
        progress(part.rows)


_HERE: dict[str, Any] = {}
"""What a process works with, from `_open_line` on."""


def _open_line(opener: Callable[[], Station], batch: Batch) -> None:
    _HERE["line"] = batch.line(opener())
    _HERE["open"] = ExitStack()


def _check(part: Part) -> Checked:
    line: Line = _HERE["line"]
    return line.check(part)


def _issue(part: Part) -> Done:
    line: Line = _HERE["line"]
    if "ledger" not in _HERE:
        _HERE["open"].enter_context(line.folder.shared())
        opened = Ledger.open(line.station.factory, line.station.environment.name, create=True)
        _HERE["ledger"] = _HERE["open"].enter_context(opened)
    return line.issue(part, _HERE["ledger"])
