"""A manifest entry that the factory vouches for: whoever reads a table knows which rows came from the factory.

The key is the station's own and signs nothing that gives anybody a right: certificates are signed by authorities. A
stolen authority's key alone lists nothing, and a right to write the table alone vouches for nothing (docs/adr/0016).
"""

import base64
import binascii
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from protocol.admission import SIGNATURE_FIELD, SIGNED_BY_FIELD, ManifestEntry
from provisioning.algorithm import Algorithm, PublicKey
from provisioning.errors import RefusedError
from provisioning.signer import Signer
from provisioning.station_key import station_signer


@dataclass(frozen=True, kw_only=True)
class SignedEntry:
    """An entry, a signature over it, and whose it claims to be. Not yet verified."""

    entry: ManifestEntry
    signature: bytes = b""
    """Empty where the item has none: entries written before there were signatures."""
    signed_by: str = ""

    def to_item(self) -> dict[str, str]:
        """The manifest table's item."""
        return self.entry.to_item() | {
            SIGNATURE_FIELD: base64.b64encode(self.signature).decode("ascii"),
            SIGNED_BY_FIELD: self.signed_by,
        }

    @classmethod
    def from_item(cls, item: Mapping[str, Any]) -> Self:
        """What an item holds; `KeyError` or `ValueError` when it is no manifest entry."""
        try:
            signature = base64.b64decode(str(item.get(SIGNATURE_FIELD, "")), validate=True)
        except binascii.Error:
            signature = b"unreadable"
        return cls(
            entry=ManifestEntry.from_item(dict(item)),
            signature=signature,
            signed_by=str(item.get(SIGNED_BY_FIELD, "")),
        )

    def is_vouched_for(self, keys: Mapping[str, PublicKey]) -> bool:
        """Whether one of the factory's keys really signed it."""
        key = keys.get(self.signed_by)
        return key is not None and Algorithm.of(key).is_signature(self.signature, self.entry.statement, key)


@dataclass(frozen=True)
class Voucher:
    """Vouches for entries with the station's key."""

    signer: Signer

    @property
    def key_id(self) -> str:
        """What its entries are marked with."""
        return key_id(self.signer.public_key())

    def vouch(self, entry: ManifestEntry) -> SignedEntry:
        """The entry, signed."""
        return SignedEntry(entry=entry, signature=self.signer.sign(entry.statement), signed_by=self.key_id)


def station_voucher(factory: Path) -> Voucher:
    """The voucher of the station whose folder this is."""
    return Voucher(station_signer(factory))


def read_station_keys(paths: Iterable[Path]) -> dict[str, PublicKey]:
    """The public keys in PEM files, by id; `RefusedError` names a file that holds none."""
    return {key_id(key): key for key in map(_read_public_key, paths)}


def key_id(key: PublicKey) -> str:
    """SHA-256 of the SubjectPublicKeyInfo in DER, lower-case hex."""
    spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).hexdigest()


def _read_public_key(path: Path) -> PublicKey:
    try:
        key = load_pem_public_key(path.read_bytes())
    except (OSError, ValueError) as error:
        raise RefusedError(f"{path}: is no public key in PEM ({error}); give a station's station.pub.pem") from error
    if not isinstance(key, PublicKey):
        raise RefusedError(f"{path}: is a key no station of ours has; give a station's station.pub.pem")
    return key
