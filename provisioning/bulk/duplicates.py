"""Which rows have what an earlier row has, among a million, in 24 bytes each."""

import hashlib
from array import array
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

_DIGEST_BYTES = 16
"""128 bits: two values that differ have two digests, whoever chose them."""


@dataclass(frozen=True)
class Repeats:
    """The lines whose value an earlier line has, in order, and that line for each: the first with that value."""

    lines: npt.NDArray[np.uint64]
    firsts: npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Seen:
    """Remembers values by their lines, whatever order these come in."""

    digests: bytearray = field(default_factory=bytearray)
    lines: "array[int]" = field(default_factory=lambda: array("Q"))

    def add(self, value: bytes, line: int) -> None:
        """Remember one."""
        self.digests.extend(hashlib.blake2b(value, digest_size=_DIGEST_BYTES).digest())
        self.lines.append(line)

    def take(self, other: "Seen") -> None:
        """Remember what another part of the file has."""
        self.digests.extend(other.digests)
        self.lines.extend(other.lines)

    def repeats(self) -> Repeats:
        """What came more than once."""
        if not self.lines:
            return Repeats(np.zeros(0, np.uint64), np.zeros(0, np.uint64))
        lines = np.frombuffer(self.lines, dtype=np.uint64)
        words = np.frombuffer(self.digests, dtype=np.uint64).reshape(-1, 2)
        order = np.lexsort((lines, words[:, 1], words[:, 0]))
        ordered, lines = words[order], lines[order]
        is_first = np.ones(len(lines), dtype=bool)
        is_first[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
        firsts = lines[is_first][np.cumsum(is_first) - 1]
        found, before = lines[~is_first], firsts[~is_first]
        by_line = np.argsort(found)
        return Repeats(found[by_line], before[by_line])
