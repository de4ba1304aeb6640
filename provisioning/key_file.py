"""Private keys in files: PKCS#8, mode 0600, on the disk before anything depends on them."""

from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from provisioning.durable import PRIVATE, create_durably
from provisioning.errors import StationError


def make_or_read_authority_key(path: Path, passphrase: bytes) -> ec.EllipticCurvePrivateKey:
    """The authority's key at `path`, made and encrypted if there is none."""
    if not path.exists():
        key = ec.generate_private_key(ec.SECP256R1())
        create_durably(path, _pkcs8(key, serialization.BestAvailableEncryption(passphrase)), mode=PRIVATE)
    return read_authority_key(path, passphrase)


def read_authority_key(path: Path, passphrase: bytes) -> ec.EllipticCurvePrivateKey:
    """The P-256 key in the encrypted file `path`; `StationError` says why not."""
    try:
        key = serialization.load_pem_private_key(_bytes(path), passphrase)
    except TypeError as error:
        raise StationError(f"{path}: is not encrypted; an authority's key must be: restore the right file") from error
    except ValueError as error:
        raise StationError(f"{path}: cannot be opened; the passphrase is wrong or the file is damaged") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise StationError(f"{path}: is no P-256 key, which every authority has; restore the right file")
    return key


def make_or_read_device_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """The device's own key at `path`, made if there is none; plain, because the device must read it unattended."""
    if not path.exists():
        key = ec.generate_private_key(ec.SECP256R1())
        create_durably(path, _pkcs8(key, serialization.NoEncryption()), mode=PRIVATE)
    found = read_device_key(path)
    if not isinstance(found, ec.EllipticCurvePrivateKey):
        raise StationError(f"{path}: is no EC key, so it was not made here; move it away and try again")
    return found


def read_device_key(path: Path) -> ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey:
    """The plain device key in `path`."""
    try:
        key = serialization.load_pem_private_key(_bytes(path), None)
    except (TypeError, ValueError) as error:
        raise StationError(f"{path}: is no readable private key; move it away and try again") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise StationError(f"{path}: is neither an EC nor an RSA key; move it away and try again")
    return key


def _pkcs8(key: ec.EllipticCurvePrivateKey, encryption: serialization.KeySerializationEncryption) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StationError(f"{path}: cannot be read ({error.strerror}); restore the key of this factory") from error
