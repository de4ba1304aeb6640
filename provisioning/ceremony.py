"""Hold a ceremony: make what its file names and is missing, keep what is there, refuse what contradicts.

Everything is checked before anything is written. A key is on the disk before its certificate is made, so a ceremony
that was interrupted goes on with the same keys.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from provisioning.authority import read_certificate
from provisioning.ceremony_check import check_gateway, check_issuing, check_root, issuing_validity
from provisioning.ceremony_file import CeremonyFile, GatewayProfile, IssuingProfile
from provisioning.certify import certify, to_be_signed
from provisioning.durable import make_folder, write_durably
from provisioning.errors import RefusedError, StationError
from provisioning.file_signer import FileSigner
from provisioning.key_file import make_or_read_authority_key, read_authority_key
from provisioning.passphrase import Passphrase
from provisioning.profile import (
    Validity,
    authority_name,
    gateway_authority_builder,
    issuing_builder,
    root_builder,
    years,
)
from provisioning.signer import Signer
from stacks.environment import GATEWAY_AUTHORITY, AuthorityKey

ROOT_CERTIFICATE_FILE = "root.pem"
ROOT_KEY_FILE = "root.key.pem"


def authority_key_path(factory: Path, authority: str) -> Path:
    """Where a `file` authority keeps its key."""
    return factory / f"{authority}.key.pem"


@dataclass(frozen=True, kw_only=True)
class Made:
    """One authority after the ceremony."""

    name: str
    path: Path
    certificate: x509.Certificate
    is_new: bool


@dataclass(frozen=True, kw_only=True)
class Room:
    """Where a ceremony is held: its folders, its clock and chance, and what only people or AWS can give."""

    factory: Path
    out: Path
    root_passphrase: Passphrase
    """Opens the root's key and, in `dev`, the authorities'."""
    kms_keys: Mapping[str, ec.EllipticCurvePublicKey]
    """Of every issuing authority whose key is in KMS."""
    domain: str
    """The environment's: its devices' names are all that the authority of gateways may sign."""
    gateway_signer: Signer | None
    """Of the authority of gateways, if its key is in KMS: it signs itself."""
    now: datetime
    new_serial: Callable[[], int]


def hold(ceremony: CeremonyFile, room: Room) -> tuple[Made, ...]:
    """The root, every issuing authority of the file, and the authority of gateways if it names one; made or kept."""
    root = read_certificate(room.factory / ROOT_CERTIFICATE_FILE)
    found = {name: read_certificate(room.out / f"{name}.pem") for name in ceremony.issuing}
    check_root(ceremony.root, root, found)
    for name, profile in ceremony.issuing.items():
        if (kept := found[name]) is not None and root is not None:
            check_issuing(name, profile, kept, root, _standing_key(name, profile, room))
        elif root is not None:
            issuing_validity(name, profile, root, room.now)
    gateway = read_certificate(room.out / f"{GATEWAY_AUTHORITY}.pem")
    if ceremony.gateway is not None and gateway is not None:
        check_gateway(
            ceremony.gateway,
            gateway,
            organization=ceremony.root.organization,
            domain=room.domain,
            public_key=_standing_gateway_key(ceremony.gateway, room),
        )
    for folder, mode in ((room.factory, 0o700), (room.out, 0o755)):
        make_folder(folder, mode=mode)
    made_root = _root(ceremony, root, room)
    issuing = [_issuing(ceremony, name, kept, made_root.certificate, room) for name, kept in found.items()]
    if ceremony.gateway is None:
        return made_root, *issuing
    return made_root, *issuing, _gateway(ceremony, ceremony.gateway, gateway, room)


def _root(ceremony: CeremonyFile, kept: x509.Certificate | None, room: Room) -> Made:
    path = room.factory / ROOT_CERTIFICATE_FILE
    if kept is not None:
        return Made(name="root", path=path, certificate=kept, is_new=False)
    signer = FileSigner(make_or_read_authority_key(room.factory / ROOT_KEY_FILE, room.root_passphrase()))
    builder = root_builder(
        name=authority_name(ceremony.root.common_name, ceremony.root.organization),
        public_key=signer.public_key(),
        validity=Validity.lasting(years(ceremony.root.lifetime_years), now=room.now),
        serial=room.new_serial(),
    )
    return _written("root", path, certify(to_be_signed(builder), signer))


def _issuing(
    ceremony: CeremonyFile, name: str, kept: x509.Certificate | None, root: x509.Certificate, room: Room
) -> Made:
    path = room.out / f"{name}.pem"
    if kept is not None:
        return Made(name=name, path=path, certificate=kept, is_new=False)
    profile = ceremony.issuing[name]
    signer = _root_signer(root, room)
    builder = issuing_builder(
        name=authority_name(profile.common_name, ceremony.root.organization),
        public_key=_issuing_key(name, profile, room),
        path_length=profile.path_length,
        issuer=root,
        validity=issuing_validity(name, profile, root, room.now),
        serial=room.new_serial(),
    )
    return _written(name, path, certify(to_be_signed(builder), signer))


def _gateway(ceremony: CeremonyFile, profile: GatewayProfile, kept: x509.Certificate | None, room: Room) -> Made:
    path = room.out / f"{GATEWAY_AUTHORITY}.pem"
    if kept is not None:
        return Made(name=GATEWAY_AUTHORITY, path=path, certificate=kept, is_new=False)
    signer = _gateway_signer(profile, room)
    builder = gateway_authority_builder(
        name=authority_name(profile.common_name, ceremony.root.organization),
        public_key=signer.public_key(),
        domain=room.domain,
        validity=Validity.lasting(years(profile.lifetime_years), now=room.now),
        serial=room.new_serial(),
    )
    return _written(GATEWAY_AUTHORITY, path, certify(to_be_signed(builder), signer))


def _gateway_signer(profile: GatewayProfile, room: Room) -> Signer:
    if profile.key is AuthorityKey.KMS:
        return _in_kms(room)
    path = authority_key_path(room.factory, GATEWAY_AUTHORITY)
    return FileSigner(make_or_read_authority_key(path, room.root_passphrase()))


def _standing_gateway_key(profile: GatewayProfile, room: Room) -> ec.EllipticCurvePublicKey:
    if profile.key is AuthorityKey.KMS:
        return _in_kms(room).public_key()
    return read_authority_key(authority_key_path(room.factory, GATEWAY_AUTHORITY), room.root_passphrase()).public_key()


def _in_kms(room: Room) -> Signer:
    if room.gateway_signer is None:
        raise RefusedError("gateway.key: is in KMS, and no signer was given; deploy first, and give --outputs FILE")
    return room.gateway_signer


def _issuing_key(name: str, profile: IssuingProfile, room: Room) -> ec.EllipticCurvePublicKey:
    if profile.key is AuthorityKey.KMS:
        return room.kms_keys[name]
    return make_or_read_authority_key(authority_key_path(room.factory, name), room.root_passphrase()).public_key()


def _standing_key(name: str, profile: IssuingProfile, room: Room) -> ec.EllipticCurvePublicKey:
    """The key of an authority that has a certificate already; a lost one is not replaced behind its back."""
    if profile.key is AuthorityKey.KMS:
        return room.kms_keys[name]
    return read_authority_key(authority_key_path(room.factory, name), room.root_passphrase()).public_key()


def _root_signer(root: x509.Certificate, room: Room) -> FileSigner:
    path = room.factory / ROOT_KEY_FILE
    if not path.exists():
        raise StationError(f"{path}: the root's key is not here, and an authority is to be signed; bring it")
    signer = FileSigner(make_or_read_authority_key(path, room.root_passphrase()))
    if signer.public_key() != root.public_key():
        raise StationError(f"{path}: is another key than that of {ROOT_CERTIFICATE_FILE}; restore the two together")
    return signer


def _written(name: str, path: Path, certificate: x509.Certificate) -> Made:
    write_durably(path, certificate.public_bytes(Encoding.PEM))
    return Made(name=name, path=path, certificate=certificate, is_new=True)
