"""The next list of an authority: planned from what the ledger holds, then numbered, signed and published, in order."""

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from provisioning.authority import IssuingAuthority
from provisioning.crl.entries import Revoked
from provisioning.crl.listed import Scope, ended, position_of, withdrawn_by
from provisioning.crl.pem import as_pem
from provisioning.crl.revocation_list import Heading, make_list
from provisioning.crl.shelf import Done, Numbered, Shelf, number_in
from provisioning.crl.withdrawn import read_withdrawn
from provisioning.durable import make_folder, write_durably
from provisioning.errors import RefusedError, StationError
from provisioning.ledger.ledger import Ledger

FULL_LIFETIME = timedelta(days=7)
"""Until the next full list. A broker refuses every device once its list is stale: time for a long weekend."""
DELTA_LIFETIME = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is asked for."""

    authority: str
    is_delta: bool
    lifetime: timedelta
    delta_url: str | None
    now: datetime


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A list that could be signed now."""

    authority: str
    numbered: Numbered
    scope: Scope
    delta_url: str | None

    @property
    def is_delta(self) -> bool:
        """Whether it adds to a base."""
        return self.numbered.base is not None


def plan_list(wanted: Wanted, shelf: Shelf, ledger: Ledger | None, published: Path) -> Planned:
    """The next list; `RefusedError` for a delta without a base, `StationError` for a clock that went back.

    `published`: the folder that others read lists from; its numbers count, whatever became of the factory's own.
    """
    last, full = shelf.last(), shelf.last_full()
    moment = wanted.now.replace(microsecond=0)
    if wanted.is_delta and full is None:
        raise RefusedError(
            f"authority {wanted.authority}: a delta adds to a full list; make that first, without --delta"
        )
    if last is not None and moment <= last.this_update:
        raise StationError(
            f"authority {wanted.authority}: list {last.number} is of {last.this_update:%Y-%m-%d %H:%M:%S} UTC, and the "
            f"clock says {moment:%Y-%m-%d %H:%M:%S}; set this station's clock, or wait a second"
        )
    known = [number_in(published / list_file(wanted.authority, is_delta=is_delta)) for is_delta in (False, True)]
    base = full if wanted.is_delta else None
    numbered = Numbered(
        number=max(0 if last is None else last.number, *known) + 1,
        base=None if base is None else base.number,
        this_update=moment,
        next_update=moment + wanted.lifetime,
        position=0 if ledger is None else position_of(ledger),
    )
    scope = Scope(authority=wanted.authority, base=base, last_full=full)
    return Planned(authority=wanted.authority, numbered=numbered, scope=scope, delta_url=wanted.delta_url)


def listed(planned: Planned, ledger: Ledger | None, factory: Path) -> Iterator[Revoked]:
    """What the list names."""
    devices = iter(()) if ledger is None else ended(ledger, planned.scope, planned.numbered.position)
    return itertools.chain(devices, withdrawn_by(planned.authority, read_withdrawn(factory), planned.scope.base))


def issue_list(
    planned: Planned, shelf: Shelf, ledger: Ledger | None, factory: Path, *, signer: IssuingAuthority, out: Path
) -> tuple[Path, int]:
    """Number, sign and publish the list; where it is, and how many it names."""
    shelf.reserve(planned.numbered)
    heading = Heading(
        number=planned.numbered.number,
        this_update=planned.numbered.this_update,
        next_update=planned.numbered.next_update,
        base=planned.numbered.base,
        delta_url=planned.delta_url,
    )
    made = make_list(signer.certificate, signer.signer, heading, listed(planned, ledger, factory))
    make_folder(out)
    path = out / list_file(planned.authority, is_delta=planned.is_delta)
    write_durably(path, made.der)
    write_durably(path.with_name(path.name + ".pem"), as_pem(made.der))
    shelf.finish(planned.numbered.number, Done(sha256=hashlib.sha256(made.der).hexdigest(), count=made.count))
    return path, made.count


def list_file(authority: str, *, is_delta: bool) -> str:
    """What a published list is called: DER, as RFC 2585 has it; the same in PEM beside it, as brokers want it."""
    return f"{authority}.delta.crl" if is_delta else f"{authority}.crl"
