"""Private keys in files: PKCS#8, mode 0600, on the disk before anything depends on them."""

from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from provisioning.algorithm import KeyType, PrivateKey
from provisioning.durable import PRIVATE, create_durably, settle
from provisioning.errors import StationError


def make_or_read_authority_key(path: Path, passphrase: bytes, key_type: KeyType = KeyType.P256) -> PrivateKey:
    """The authority's key at `path`, made and encrypted if there is none."""
    if path.exists():
        settle(path)
    else:
        key = key_type.generate()
        create_durably(path, _pkcs8(key, serialization.BestAvailableEncryption(passphrase)), mode=PRIVATE)
    return read_authority_key(path, passphrase, key_type)


def read_authority_key(path: Path, passphrase: bytes, key_type: KeyType | None = None) -> PrivateKey:
    """The key in the encrypted file `path`, of `key_type` where that is known; `StationError` says why not."""
    try:
        key = serialization.load_pem_private_key(_bytes(path), passphrase)
    except TypeError as error:
        raise StationError(f"{path}: is not encrypted; an authority's key must be: restore the right file") from error
    except ValueError as error:
        raise StationError(f"{path}: cannot be opened; the passphrase is wrong or the file is damaged") from error
    return _of_type(key, path, key_type, "restore the right file")


def make_or_read_device_key(path: Path, key_type: KeyType = KeyType.P256) -> PrivateKey:
    """The device's own key at `path`, made if there is none; plain, because the device must read it unattended."""
    if path.exists() or not create_durably(
        path, _pkcs8(key_type.generate(), serialization.NoEncryption()), mode=PRIVATE
    ):
        settle(path)
    return _of_type(read_device_key(path), path, key_type, "it was not made here: move it away and try again")


def read_device_key(path: Path) -> PrivateKey:
    """The plain device key in `path`."""
    try:
        key = serialization.load_pem_private_key(_bytes(path), None)
    except (TypeError, ValueError) as error:
        raise StationError(f"{path}: is no readable private key; move it away and try again") from error
    return _of_type(key, path, None, "move it away and try again")


def _of_type(key: PrivateKeyTypes, path: Path, key_type: KeyType | None, way_out: str) -> PrivateKey:
    found = KeyType.of(key.public_key())
    if not isinstance(key, PrivateKey) or found is None or key_type not in (None, found):
        wanted = key_type or ", ".join(KeyType)
        raise StationError(f"{path}: is a key of {found or 'another type'}, and not of {wanted}; {way_out}")
    return key


def _pkcs8(key: PrivateKey, encryption: serialization.KeySerializationEncryption) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StationError(f"{path}: cannot be read ({error.strerror}); restore the key of this factory") from error
