"""Lists of keys that are never certified, beside what `weak_keys` finds by itself: leaked keys, keys of lost boards.

A factory file names them under `refused_keys`. A list in text has the SHA-256 of a public key (SubjectPublicKeyInfo in
DER, lower-case hex) a line; `#` begins a remark. A `.dat` file is the list that `badkeys` collects of keys the world
knows, Debian's of 2008 among them (https://badkeys.info): 16 octets a key, sorted; the first 15 of the SHA-256 of an
RSA modulus or of a point's first coordinate, then the number of where it was found.
"""

import hashlib
import mmap
import re
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from provisioning.errors import RefusedError
from provisioning.factory_file import FactoryFile
from provisioning.read_factory import factory_path
from stacks.errors import Problem, StackError

DIGEST_BYTES = 32
BADKEYS_BYTES = 15
"""Of a digest, in each record of the other kind of list."""
BADKEYS_RECORD = 16
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_COORDINATE_BYTES: Mapping[int, int] = {91: 32, 120: 48}
"""By the length of a SubjectPublicKeyInfo with a whole point: P-256 and P-384 (RFC 5480, section 2.2)."""


class KeyList(Protocol):
    """One list."""

    @property
    def name(self) -> str:
        """Its file's."""

    def __len__(self) -> int:
        """How many keys it has."""

    def has(self, spki: bytes) -> bool:
        """Whether a key, in DER, is on it."""


@dataclass(frozen=True)
class RefusedKeys:
    """Every list of a factory."""

    lists: tuple[KeyList, ...] = ()

    def refusal(self, spki: bytes) -> str | None:
        """Why a key, in DER, is never certified; None for all others."""
        for each in self.lists:
            if each.has(spki):
                shown = hashlib.sha256(spki).hexdigest()
                return (
                    f"the key {shown} stands in {each.name}, the list of keys that are never certified; put the board "
                    f"aside, and make a new key"
                )
        return None

    def check(self, spki: bytes) -> None:
        """Refuse a key that stands in a list."""
        if (found := self.refusal(spki)) is not None:
            raise RefusedError(found)


@dataclass(frozen=True)
class Fingerprints:
    """A list in text: the digests one after another, sorted; a million take 32 MB."""

    name: str
    digests: bytes

    def __len__(self) -> int:
        return len(self.digests) // DIGEST_BYTES

    def has(self, spki: bytes) -> bool:
        """Whether a key, in DER, is on it."""
        return _is_among(self.digests, DIGEST_BYTES, hashlib.sha256(spki).digest())


@dataclass(frozen=True)
class _Badkeys:
    """A list of badkeys, left on the disk."""

    name: str
    records: mmap.mmap

    def __len__(self) -> int:
        return len(self.records) // BADKEYS_RECORD

    def has(self, spki: bytes) -> bool:
        number = _number(spki)
        if number is None:
            return False
        return _is_among(self.records, BADKEYS_RECORD, hashlib.sha256(number).digest()[:BADKEYS_BYTES])


def read_refused_keys(plan: FactoryFile, file: Path | None) -> RefusedKeys:
    """The lists beside a factory file, `file` or its stack's; `StackError` tells file and line of what is none."""
    folder = (file or factory_path(plan.environment)).parent
    return RefusedKeys(tuple(_read(folder / name) for name in plan.refused_keys))


def spki_of(certificate: x509.Certificate) -> bytes:
    """A certificate's key in DER, of whatever type."""
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _read(path: Path) -> KeyList:
    try:
        return _badkeys(path) if path.suffix == ".dat" else _fingerprints(path)
    except OSError as error:
        raise _problem(
            path, None, f"cannot be read ({error.strerror})", "put the list beside the factory file"
        ) from error


def _fingerprints(path: Path) -> KeyList:
    found = bytearray()
    with path.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, start=1):
            text = line.partition("#")[0].strip()
            if not text:
                continue
            if not _FINGERPRINT.fullmatch(text):
                rule = f"{text[:80]!r} is no fingerprint of a key"
                raise _problem(path, number, rule, "write its SHA-256, 64 digits of lower-case hexadecimal")
            found += bytes.fromhex(text)
    return Fingerprints(path.name, _sorted(found))


def _sorted(digests: bytearray) -> bytes:
    """The digests in order, without an object for each: a million would take four times as much."""
    words = np.frombuffer(digests, dtype=">u8").reshape(-1, DIGEST_BYTES // 8)
    return words[np.lexsort(words.T[::-1])].tobytes()


def _badkeys(path: Path) -> KeyList:
    with path.open("rb") as file:
        size = path.stat().st_size
        if size == 0 or size % BADKEYS_RECORD:
            rule = f"has {size} bytes, and a list of badkeys has {BADKEYS_RECORD} a key"
            raise _problem(path, None, rule, "download it again")
        records = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    beginnings = np.frombuffer(records, dtype=">u8")[::2]
    if not bool((beginnings[1:] >= beginnings[:-1]).all()):
        raise _problem(path, None, "is not sorted, so it is no list of badkeys", "download it again")
    return _Badkeys(path.name, records)


def _number(spki: bytes) -> bytes | None:
    """What badkeys knows a key by: its modulus, or its point's first coordinate, without leading zeros.

    None for a key of a type that no device has.
    """
    size = _COORDINATE_BYTES.get(len(spki))
    if size is not None:
        return spki[-2 * size : -size].lstrip(b"\x00")
    key = load_der_public_key(spki)
    if not isinstance(key, rsa.RSAPublicKey):
        return None
    modulus = key.public_numbers().n
    return modulus.to_bytes((modulus.bit_length() + 7) // 8)


def _is_among(records: bytes | mmap.mmap, size: int, wanted: bytes) -> bool:
    """Whether one of the sorted records, of `size` octets each, begins with `wanted`."""

    def beginning(index: int) -> bytes:
        return records[index * size : index * size + len(wanted)]

    place = bisect_left(range(len(records) // size), wanted, key=beginning)
    return beginning(place) == wanted


def _problem(path: Path, line: int | None, rule: str, way_out: str) -> StackError:
    return StackError([Problem(file=str(path), line=line, rule=rule, way_out=way_out)])
