"""Whether a station may sign now: its lease, its certificate, and that nobody has taken it back.

One process of a station at a time counts and reserves, so a lease is never exceeded; who only asks again for what
stands is not counted.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from provisioning.crl.withdrawn import read_withdrawn
from provisioning.durable import PUBLIC
from provisioning.errors import RefusedError
from provisioning.factory_file import FactoryFile, Station
from provisioning.lease import check_lease, lease_period, left_of, used_up
from provisioning.ledger.ledger import Ledger


@contextmanager
def signing(
    plan: FactoryFile, signer: str, ledger: Ledger, factory: Path, *, wanted: int, now: datetime
) -> Iterator[None]:
    """The right of `signer`, an authority or a station, to sign `wanted` more, held while they are reserved.

    `LeaseError` says why there is none, or not so many.
    """
    with leased(plan, signer, ledger, factory, now=now) as left:
        if left is not None and left < wanted:
            raise used_up(signer, plan.stations[signer].lease)
        yield


@contextmanager
def leased(plan: FactoryFile, signer: str, ledger: Ledger, factory: Path, *, now: datetime) -> Iterator[int | None]:
    """How many more `signer` may sign, held while they are reserved; None for an authority, which has no lease.

    `LeaseError` outside the lease's days and hours.
    """
    if signer not in plan.stations:
        yield None
        return
    descriptor = os.open(factory / f"{signer}.lock", os.O_RDWR | os.O_CREAT, PUBLIC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield left_now(plan, signer, ledger, now=now)
    finally:
        os.close(descriptor)


def left_now(plan: FactoryFile, signer: str, ledger: Ledger, *, now: datetime) -> int | None:
    """`leased`, for who only asks: nothing is held, so another may be first."""
    station = plan.stations.get(signer)
    if station is None:
        return None
    check_lease(signer, station.lease, now=now)
    return left_of(station.lease, issued_by(ledger, signer))


def issued_by(ledger: Ledger, signer: str) -> int:
    """How many certificates this ledger has reserved with the signer's key."""
    return ledger.issued.by(signer)


def check_not_withdrawn(name: str, certificate: x509.Certificate, factory: Path) -> None:
    """Refuse to sign with what was taken back."""
    for each in read_withdrawn(factory):
        if each.name == name and int(each.serial, 16) == certificate.serial_number:
            raise RefusedError(
                f"{name}: was taken back on {each.at:%Y-%m-%d} ({each.reason}); it signs nothing any more: use another"
            )


def check_leased(name: str, station: Station, certificate: x509.Certificate) -> None:
    """Refuse a lease in the factory file that is not the one in the station's certificate."""
    stated = leased_period(certificate)
    if stated is None:
        raise RefusedError(f"station {name}: its certificate names no lease; certify it with `station certify`")
    if stated != lease_period(station.lease):
        raise RefusedError(
            f"station {name}: its certificate was leased from {stated[0]:%Y-%m-%d} to {stated[1]:%Y-%m-%d}, and the "
            f"factory file says {station.lease.begins} to {station.lease.ends}; a new lease is a new name and a new key"
        )


def leased_period(certificate: x509.Certificate) -> tuple[datetime, datetime] | None:
    """The first and the last second of the lease that stands in a station's certificate; None in any other's."""
    try:
        period = certificate.extensions.get_extension_for_class(x509.PrivateKeyUsagePeriod).value
    except x509.ExtensionNotFound:
        return None
    if period.not_before is None or period.not_after is None:
        return None
    return period.not_before.replace(tzinfo=UTC), period.not_after.replace(tzinfo=UTC)
