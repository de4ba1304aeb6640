"""Serial numbers of one issuer: random, and recognisable by their first octets."""

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from cryptography import x509

SERIAL_OCTETS = 20
"""RFC 5280, section 4.1.2.2: at most 20, and positive."""
MAX_PREFIX_OCTETS = 4
"""Leaves 128 random bits; 64 are the least (CA/Browser Forum baseline requirements, 7.1)."""

_PREFIX = re.compile(rf"(?:[0-9a-f]{{2}}){{1,{MAX_PREFIX_OCTETS}}}")


@dataclass(frozen=True)
class SerialRange:
    """Every serial number that begins with `prefix`; hexadecimal, in pairs of digits."""

    prefix: str

    def __post_init__(self) -> None:
        if not _PREFIX.fullmatch(self.prefix):
            raise ValueError(
                f"{self.prefix!r} is no beginning of serial numbers; "
                f"write 1 to {MAX_PREFIX_OCTETS} octets as pairs of lower-case hexadecimal digits, in quotes"
            )
        if not 0x01 <= int(self.prefix[:2], 16) <= 0x7F:
            raise ValueError(f"{self.prefix!r} makes serial numbers that are negative or short; begin with 01 to 7f")

    def draw(self, random: Callable[[int], bytes] = secrets.token_bytes) -> int:
        """A new serial number; `random` gives that many octets."""
        octets = bytes.fromhex(self.prefix)
        return int.from_bytes(octets + random(SERIAL_OCTETS - len(octets)))

    def contains(self, serial: int) -> bool:
        """Whether a serial number is one of these."""
        return f"{serial:0{2 * SERIAL_OCTETS}x}".startswith(self.prefix)

    def overlaps(self, other: "SerialRange") -> bool:
        """Whether a serial number may be in both."""
        return self.prefix.startswith(other.prefix) or other.prefix.startswith(self.prefix)


def serials_of(prefix: str | None) -> Callable[[], int]:
    """Where the serial numbers of an issuer come from: its range, or all there are."""
    return x509.random_serial_number if prefix is None else SerialRange(prefix).draw
