"""Hold a ceremony: make what its file names and is missing, keep what is there, refuse what contradicts.

Everything is checked before anything is written. A key is on the disk before its certificate is made, so a ceremony
that was interrupted goes on with the same keys.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from provisioning.algorithm import Algorithm, PublicKey
from provisioning.authority import read_certificate
from provisioning.ceremony_check import (
    check_algorithm,
    check_gateway,
    check_issuing,
    check_room_for_stations,
    check_root,
    issuing_validity,
)
from provisioning.certify import certify, to_be_signed
from provisioning.durable import make_folder, write_durably
from provisioning.errors import RefusedError, StationError
from provisioning.factory_file import Authority, FactoryFile, Gateway, Reach
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
    held_keys: Mapping[str, PublicKey]
    """Of every issuing authority whose key is in KMS or an HSM."""
    domain: str
    """The environment's: its devices' names are all that the authority of gateways may sign."""
    gateway_signer: Signer | None
    """Of the authority of gateways, if its key is in KMS: it signs itself."""
    now: datetime
    new_serial: Callable[[], int]


def hold(plan: FactoryFile, room: Room) -> tuple[Made, ...]:
    """The root, every issuing authority of the file, and the authority of gateways if it names one; made or kept."""
    root = read_certificate(room.factory / ROOT_CERTIFICATE_FILE)
    found = {name: read_certificate(room.out / f"{name}.pem") for name in plan.authorities}
    check_root(plan.root, root, found)
    if root is not None:
        check_room_for_stations(root, plan.authorities)
    for name, key in room.held_keys.items():
        check_algorithm(f"authorities.{name}", plan.authorities[name].algorithm, key)
    for name, profile in plan.authorities.items():
        if (kept := found[name]) is not None and root is not None:
            check_issuing(name, profile, kept, root, _standing_key(name, profile, room), domain=room.domain)
        elif root is not None:
            issuing_validity(name, profile, root, room.now)
    gateway = read_certificate(room.out / f"{GATEWAY_AUTHORITY}.pem")
    if plan.gateway is not None and gateway is not None:
        check_gateway(
            plan.gateway,
            gateway,
            organization=plan.root.organization,
            domain=room.domain,
            public_key=_standing_gateway_key(plan.gateway, room),
        )
    for folder, mode in ((room.factory, 0o700), (room.out, 0o755)):
        make_folder(folder, mode=mode)
    made_root = _root(plan, root, room)
    issuing = [_issuing(plan, name, kept, made_root.certificate, room) for name, kept in found.items()]
    if plan.gateway is None:
        return made_root, *issuing
    return made_root, *issuing, _gateway(plan, plan.gateway, gateway, room)


def _root(plan: FactoryFile, kept: x509.Certificate | None, room: Room) -> Made:
    path = room.factory / ROOT_CERTIFICATE_FILE
    if kept is not None:
        return Made(name="root", path=path, certificate=kept, is_new=False)
    signer = FileSigner(
        make_or_read_authority_key(room.factory / ROOT_KEY_FILE, room.root_passphrase(), plan.root.algorithm.key_type)
    )
    builder = root_builder(
        name=authority_name(plan.root.common_name, plan.root.organization),
        public_key=signer.public_key(),
        validity=Validity.lasting(years(plan.root.lifetime_years), now=room.now),
        serial=room.new_serial(),
    )
    return _written("root", path, certify(to_be_signed(builder, Algorithm.of(signer.public_key())), signer))


def _issuing(plan: FactoryFile, name: str, kept: x509.Certificate | None, root: x509.Certificate, room: Room) -> Made:
    path = room.out / f"{name}.pem"
    if kept is not None:
        return Made(name=name, path=path, certificate=kept, is_new=False)
    profile = plan.authorities[name]
    signer = _root_signer(root, room)
    builder = issuing_builder(
        name=authority_name(profile.common_name, plan.root.organization),
        public_key=_issuing_key(name, profile, room),
        path_length=profile.path_length,
        issuer=root,
        validity=issuing_validity(name, profile, root, room.now),
        serial=room.new_serial(),
        domain=room.domain if profile.name_constraints is Reach.DEVICE_HOSTS else None,
    )
    return _written(name, path, certify(to_be_signed(builder, Algorithm.of(signer.public_key())), signer))


def _gateway(plan: FactoryFile, profile: Gateway, kept: x509.Certificate | None, room: Room) -> Made:
    path = room.out / f"{GATEWAY_AUTHORITY}.pem"
    if kept is not None:
        return Made(name=GATEWAY_AUTHORITY, path=path, certificate=kept, is_new=False)
    signer = _gateway_signer(profile, room)
    builder = gateway_authority_builder(
        name=authority_name(profile.common_name, plan.root.organization),
        public_key=signer.public_key(),
        domain=room.domain,
        validity=Validity.lasting(years(profile.lifetime_years), now=room.now),
        serial=room.new_serial(),
    )
    return _written(GATEWAY_AUTHORITY, path, certify(to_be_signed(builder, Algorithm.of(signer.public_key())), signer))


def _gateway_signer(profile: Gateway, room: Room) -> Signer:
    if profile.key is AuthorityKey.KMS:
        return _in_kms(room)
    path = authority_key_path(room.factory, GATEWAY_AUTHORITY)
    return FileSigner(make_or_read_authority_key(path, room.root_passphrase(), profile.algorithm.key_type))


def _standing_gateway_key(profile: Gateway, room: Room) -> PublicKey:
    if profile.key is AuthorityKey.KMS:
        return _in_kms(room).public_key()
    path = authority_key_path(room.factory, GATEWAY_AUTHORITY)
    return read_authority_key(path, room.root_passphrase(), profile.algorithm.key_type).public_key()


def _in_kms(room: Room) -> Signer:
    if room.gateway_signer is None:
        raise RefusedError("gateway.key: is in KMS, and no signer was given; deploy first, and give --outputs FILE")
    return room.gateway_signer


def _issuing_key(name: str, profile: Authority, room: Room) -> PublicKey:
    if profile.key is not AuthorityKey.FILE:
        return room.held_keys[name]
    path = authority_key_path(room.factory, name)
    return make_or_read_authority_key(path, room.root_passphrase(), profile.algorithm.key_type).public_key()


def _standing_key(name: str, profile: Authority, room: Room) -> PublicKey:
    """The key of an authority that has a certificate already; a lost one is not replaced behind its back."""
    if profile.key is not AuthorityKey.FILE:
        return room.held_keys[name]
    path = authority_key_path(room.factory, name)
    return read_authority_key(path, room.root_passphrase(), profile.algorithm.key_type).public_key()


def _root_signer(root: x509.Certificate, room: Room) -> FileSigner:
    path = room.factory / ROOT_KEY_FILE
    if not path.exists():
        raise StationError(f"{path}: the root's key is not here, and an authority is to be signed; bring it")
    signer = FileSigner(read_authority_key(path, room.root_passphrase()))
    if signer.public_key() != root.public_key():
        raise StationError(f"{path}: is another key than that of {ROOT_CERTIFICATE_FILE}; restore the two together")
    return signer


def _written(name: str, path: Path, certificate: x509.Certificate) -> Made:
    write_durably(path, certificate.public_bytes(Encoding.PEM))
    return Made(name=name, path=path, certificate=certificate, is_new=True)
