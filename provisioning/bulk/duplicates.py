"""Whether a text came before, among a million, in 8 bytes each."""

from array import array

import numpy as np


class Seen:
    """Remembers hashes. Two texts with one hash are told apart by whoever reads them again."""

    def __init__(self) -> None:
        self._hashes = array("q")

    def add(self, text: str) -> None:
        """Remember one."""
        self._hashes.append(hash(text))

    def repeated(self) -> frozenset[int]:
        """The hashes that came more than once."""
        ordered = np.sort(np.frombuffer(self._hashes, dtype=np.int64)) if self._hashes else np.zeros(0, np.int64)
        return frozenset(ordered[1:][ordered[1:] == ordered[:-1]].tolist())
