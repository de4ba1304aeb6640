"""Keys that the factory makes for a batch: on the disk before the ledger hears of them, and used by a rerun."""

from binascii import a2b_base64, b2a_base64
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from provisioning.algorithm import PublicKey
from provisioning.bulk.folder import write_private
from provisioning.bulk.rows import Asked
from provisioning.errors import StationError
from provisioning.spelling import public_half


class Made(NamedTuple):
    """The public half of a key that was made here."""

    key: PublicKey
    encoded: bytes | None = None
    """In DER, where writing the private half showed it."""


def make_or_read_keys(path: Path, rows: Sequence[Asked], passphrase: bytes | None = None) -> dict[str, Made]:
    """The public keys of `rows`, by device; their private ones are in `path`, encrypted where a passphrase is given."""
    kept = path.read_bytes() if path.exists() else b""
    found, lines = _public_keys(path, kept, passphrase), []
    how = NoEncryption() if passphrase is None else BestAvailableEncryption(passphrase)
    for device, key_type in ((each.order.device, each.order.profile.key_type) for each in rows):
        if device not in found:
            key = key_type.generate()
            private = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, how)
            lines.append(device.encode() + b"," + b2a_base64(private))
            found[device] = Made(key.public_key(), public_half(private, key_type))
    if lines:
        write_private(path, kept + b"".join(lines))
    return found


def keep_keys(path: Path, devices: frozenset[str]) -> None:
    """Leave in `path` only the keys of `devices`: those of refused rows belong to nobody."""
    lines = path.read_bytes().splitlines(keepends=True)
    kept = [line for line in lines if line.partition(b",")[0].decode() in devices]
    if len(kept) < len(lines):
        write_private(path, b"".join(kept))


def _public_keys(path: Path, lines: bytes, passphrase: bytes | None) -> dict[str, Made]:
    found = {}
    for line in lines.splitlines():
        device, _, der = line.partition(b",")
        try:
            key = load_der_private_key(a2b_base64(der), passphrase).public_key()
        except ValueError as error:
            raise StationError(f"{path}: holds what is no key ({error}); restore it") from error
        if not isinstance(key, PublicKey):
            raise StationError(f"{path}: holds a key of a type that no device has; restore it")
        found[device.decode()] = Made(key)
    return found
