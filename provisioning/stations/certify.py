"""Certify a station: once, what was prepared and nothing else; pure up to the two files it writes."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from provisioning.algorithm import Algorithm, PublicKey
from provisioning.authority import IssuingAuthority, is_issued_by, is_of_key, read_certificate
from provisioning.certify import certify, to_be_signed
from provisioning.durable import PUBLIC, create_durably, make_folder, write_durably
from provisioning.errors import RefusedError, StationError
from provisioning.factory_file import FactoryFile, Station
from provisioning.lease import lease_period
from provisioning.profile import Validity, station_builder, years
from provisioning.stations.request import station_name

PREPARED_FOLDER = "stations"
"""In the factory folder of whoever certifies: what was to be signed, kept for ever: nothing is signed unseen."""


@dataclass(frozen=True, kw_only=True)
class Certified:
    """A station's certificate, and whether it is new."""

    certificate: x509.Certificate
    path: Path
    is_new: bool


@dataclass(frozen=True, kw_only=True)
class Desk:
    """Where stations are certified."""

    plan: FactoryFile
    authority: IssuingAuthority
    """Of the station's line."""
    factory: Path
    out: Path
    now: datetime
    new_serial: Callable[[], int]


def certify_station(name: str, station: Station, key: PublicKey, desk: Desk) -> Certified:
    """The station's certificate; the same key gets the same one again, another key is refused."""
    path = desk.out / f"{name}.pem"
    if (kept := read_certificate(path)) is not None:
        if not is_of_key(kept, key):
            raise RefusedError(
                f"{path}: station {name} is certified with another key; a station with a new key or a new lease has a "
                f"new name in the factory file"
            )
        if not is_issued_by(kept, desk.authority.certificate):
            raise StationError(f"{path}: was not issued by {desk.authority.name}; restore the right file")
        return Certified(certificate=kept, path=path, is_new=False)
    prepared = _prepare(name, station, key, desk)
    certificate = certify(prepared, desk.authority.signer)
    if not is_of_key(certificate, key):
        raise RefusedError(
            f"station {name}: was prepared with another key before; a station with a new key has a new name in the "
            f"factory file"
        )
    make_folder(desk.out)
    write_durably(path, certificate.public_bytes(Encoding.PEM))
    return Certified(certificate=certificate, path=path, is_new=True)


def _prepare(name: str, station: Station, key: PublicKey, desk: Desk) -> bytes:
    """What is to be signed: durable before it is, and the same after a crash."""
    folder = desk.factory / PREPARED_FOLDER
    make_folder(folder)
    path = folder / f"{name}.to-be-signed.der"
    if not path.exists():
        create_durably(path, _drafted(name, station, key, desk), mode=PUBLIC)
    return path.read_bytes()


def _drafted(name: str, station: Station, key: PublicKey, desk: Desk) -> bytes:
    issuer = desk.authority.certificate
    begins, ends = lease_period(station.lease)
    if desk.now > ends:
        raise RefusedError(f"station {name}: its lease ended on {station.lease.ends}; give it a lease that is to come")
    validity = Validity.lasting(years(station.lifetime_years), now=desk.now)
    validity = Validity(not_before=max(validity.not_before, issuer.not_valid_before_utc), not_after=validity.not_after)
    if not validity.lies_within(Validity.of(issuer)):
        raise RefusedError(
            f"station {name}: {station.lifetime_years} years from now end on {validity.not_after:%Y-%m-%d}, after its "
            f"authority {desk.authority.name} on {issuer.not_valid_after_utc:%Y-%m-%d}; give its line a younger one"
        )
    builder = station_builder(
        name=station_name(station, desk.plan),
        public_key=key,
        signs=Validity(not_before=begins, not_after=ends),
        issuer=issuer,
        validity=validity,
        serial=desk.new_serial(),
    )
    return to_be_signed(builder, Algorithm.of(desk.authority.signer.public_key()))
