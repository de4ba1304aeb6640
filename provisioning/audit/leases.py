"""Whether those who signed had the right to: a station its lease, everybody a certificate that was valid and outlasts.

Plain data, so that other processes may have a copy; a stretch is tallied by itself, and the tallies are added up.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from cryptography import x509

from provisioning.audit.findings import Finding, Kind
from provisioning.factory_file import Lease
from provisioning.lease import is_open, lease_period
from provisioning.ledger.times import as_microseconds, from_microseconds
from provisioning.profile import Validity
from provisioning.stations.right import leased_period

_HOUR = timedelta(hours=1) // timedelta(microseconds=1)


class Breach(StrEnum):
    """What was done without the right to; the words of a finding."""

    DAYS = "outside the days of its lease"
    HOURS = "outside the hours of its lease"
    INVALID = "while its own certificate was not valid"
    OUTLIVES = "to last longer than its own certificate"


@dataclass(frozen=True, kw_only=True)
class Right:
    """What one authority or station may sign. Times in microseconds, as the ledger has them."""

    begins: int
    ends: int
    """Of its certificate."""
    leased_from: int | None
    leased_until: int | None
    """None for an authority, which has no lease."""
    hours: frozenset[int]
    """Of the day, UTC."""
    certificates: int | None
    """How many, where the factory file says so."""
    disagreement: str | None
    """Of factory file and certificate about the lease."""

    @classmethod
    def of(cls, certificate: x509.Certificate, lease: Lease | None) -> "Right":
        """By its certificate and, of a station that stands in the factory file, its lease there.

        The days are those of the certificate, which nobody can change later.
        """
        validity = Validity.of(certificate)
        stated = leased_period(certificate)
        written = None if lease is None else lease_period(lease)
        differs = written is not None and stated != written
        begins, ends = stated or written or (None, None)
        return cls(
            begins=as_microseconds(validity.not_before),
            ends=as_microseconds(validity.not_after),
            leased_from=None if begins is None else as_microseconds(begins),
            leased_until=None if ends is None else as_microseconds(ends + timedelta(seconds=1)) - 1,
            hours=frozenset(hour for hour in range(24) if lease is None or is_open(lease, hour)),
            certificates=None if lease is None else lease.certificates,
            disagreement=_shown(stated, written) if differs else None,
        )

    def breaches(self, at: int, not_after: int) -> Iterator[Breach]:
        """What an issuance breaks that was prepared at `at` and ends with `not_after`."""
        if not self.begins <= at <= self.ends:
            yield Breach.INVALID
        if not_after > self.ends:
            yield Breach.OUTLIVES
        if self.leased_from is not None and self.leased_until is not None:
            if not self.leased_from <= at <= self.leased_until:
                yield Breach.DAYS
            elif at // _HOUR % 24 not in self.hours:
                yield Breach.HOURS


@dataclass
class Broken:
    """Issuances that broke one rule."""

    count: int
    number: int
    """The first one's entry."""
    device: str
    at: int


@dataclass
class Tally:
    """What one signer did in a stretch, or in all of them."""

    issued: int = 0
    broken: dict[Breach, Broken] = field(default_factory=dict)

    def add(self, breach: Breach, more: Broken) -> None:
        """Count issuances that come after those counted so far."""
        known = self.broken.get(breach)
        if known is None:
            self.broken[breach] = more
        else:
            known.count += more.count


def tally(rows: Iterable[tuple[Any, ...]], rights: Mapping[str, Right]) -> dict[str, Tally]:
    """By signer, of issuances as their table has them. Of a signer whose certificate is missing nothing is said."""
    found: dict[str, Tally] = {}
    for number, at, device, _generation, _model, authority, _key, _serial, not_after, *_ in rows:
        right = rights.get(authority)
        if right is None:
            continue
        mine = found.get(authority)
        if mine is None:
            mine = found[authority] = Tally()
        mine.issued += 1
        for breach in right.breaches(at, not_after):
            mine.add(breach, Broken(1, number, device, at))
    return found


def together(tallies: Iterable[Mapping[str, Tally]]) -> dict[str, Tally]:
    """Those of all stretches, in their order."""
    whole: dict[str, Tally] = {}
    for each in tallies:
        for authority, part in each.items():
            mine = whole.setdefault(authority, Tally())
            mine.issued += part.issued
            for breach, broken in part.broken.items():
                mine.add(breach, broken)
    return whole


def check_leases(whole: Mapping[str, Tally], rights: Mapping[str, Right]) -> Iterator[Finding]:
    """One finding a signer and rule, however many issuances broke it."""
    for name, right in sorted(rights.items()):
        mine = whole.get(name, Tally())
        if right.disagreement is not None:
            yield Finding(kind=Kind.LEASE, text=f"{name}: {right.disagreement}")
        if right.certificates is not None and mine.issued > right.certificates:
            text = f"{name}: prepared {mine.issued} certificates, and its lease gives {right.certificates}"
            yield Finding(kind=Kind.LEASE, text=text)
        for breach, broken in mine.broken.items():
            yield Finding(
                kind=Kind.LEASE,
                number=broken.number,
                device=broken.device,
                text=f"{name}: prepared {broken.count} certificates {breach}; the first is that of device "
                f"{broken.device} (entry {broken.number}, {from_microseconds(broken.at):%Y-%m-%d %H:%M} UTC)",
            )


def rights_of(certificates: Mapping[str, x509.Certificate], leases: Mapping[str, Lease]) -> dict[str, Right]:
    """Of every signer whose certificate the auditor has."""
    return {name: Right.of(certificate, leases.get(name)) for name, certificate in certificates.items()}


def _shown(stated: tuple[datetime, datetime] | None, written: tuple[datetime, datetime] | None) -> str:
    def days(period: tuple[datetime, datetime] | None) -> str:
        return "no lease" if period is None else f"a lease from {period[0]:%Y-%m-%d} to {period[1]:%Y-%m-%d}"

    return f"its certificate names {days(stated)}, and the factory file {days(written)}"
