"""Whether this station can issue now: asked before a shift, by whoever watches the line, and by its software."""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

from pydantic import Field

from provisioning.errors import ProvisioningError, StationError
from provisioning.ledger.ledger import Ledger
from provisioning.ledger.times import from_microseconds
from provisioning.serve.problem import Who, who_mends
from provisioning.station import Station
from stacks.environment import Frozen

MIN_FREE_BYTES = 256 * 1024 * 1024
"""An identity takes about 3 kB of ledger: a shift at one device a second and its log fit several times."""
CLOCK_TOLERANCE = timedelta(minutes=5)
"""A clock that was set right may step back by this much; certificates begin an hour before now anyway."""


class Check(Frozen):
    """One thing a station needs."""

    name: str = Field(examples=["disk"])
    is_ok: bool
    detail: str
    who: Who | None = Field(default=None, description="Who must act; null where all is well.")


def checks(
    station: Station, signers: Sequence[str] = (), *, free_bytes: Callable[[str], int] | None = None
) -> tuple[Check, ...]:
    """Disk, ledger, clock, and who signs here: `signers`, else everyone whose certificate is here."""
    free = free_bytes or (lambda folder: shutil.disk_usage(folder).free)
    return (
        _check("disk", lambda: _disk(station, free)),
        _check("ledger", lambda: _ledger(station)),
        _check("clock", lambda: _clock(station)),
        *_authorities(station, signers),
    )


def _check(name: str, ask: Callable[[], str]) -> Check:
    try:
        return Check(name=name, is_ok=True, detail=ask())
    except (ProvisioningError, OSError) as error:
        return Check(name=name, is_ok=False, detail=str(error), who=who_mends(error))


def _disk(station: Station, free_bytes: Callable[[str], int]) -> str:
    free = free_bytes(str(station.factory))
    if free < MIN_FREE_BYTES:
        raise StationError(
            f"{station.factory}: {free // 1024**2} MiB are free, at least {MIN_FREE_BYTES // 1024**2} are wanted; "
            f"make room"
        )
    return f"{free // 1024**2} MiB free"


def _ledger(station: Station) -> str:
    if not os.access(station.factory, os.W_OK):
        raise StationError(f"{station.factory}: cannot be written; give it to the user this runs as")
    with Ledger.open(station.factory, station.environment.name, create=True) as ledger:
        (count,) = ledger.connection.execute("SELECT max(number) FROM issuance").fetchone()
    return f"opened; its last issuance is entry {count}" if count else "opened; empty"


def _clock(station: Station) -> str:
    """A clock that stands before what the ledger has seen would date certificates wrongly."""
    now = station.clock()
    with Ledger.open(station.factory, station.environment.name, create=True) as ledger:
        latest = _latest(ledger)
    if latest is not None and now < latest - CLOCK_TOLERANCE:
        raise StationError(
            f"the clock says {now:%Y-%m-%d %H:%M} UTC, and the ledger was written on {latest:%Y-%m-%d %H:%M}; "
            f"set this station's clock"
        )
    return f"{now:%Y-%m-%d %H:%M:%S} UTC"


def _latest(ledger: Ledger) -> datetime | None:
    (at,) = ledger.connection.execute(
        "SELECT at FROM issuance WHERE number = (SELECT max(number) FROM issuance) UNION ALL SELECT NULL LIMIT 1"
    ).fetchone()
    return None if at is None else from_microseconds(at)


def _authorities(station: Station, signers: Sequence[str]) -> Iterator[Check]:
    """Those that could sign here. An authority without a certificate is another factory's, or still to come."""
    for name in signers or station.signers.certificates:
        if name in station.plan.signers:
            yield _check(f"authority {name}", lambda name=name: _ready(station, name))  # type: ignore[misc]  # mypy does not infer a lambda with a default


def _ready(station: Station, name: str) -> str:
    authority, left = station.authority(name), station.left(name)
    if left is None:
        return f"signs, until {authority.certificate.not_valid_after_utc:%Y-%m-%d}"
    return f"signs, until {station.plan.stations[name].lease.ends}, and {left:,} more"
