"""The places of `protocol.reconnect_place` for a whole fleet at once."""

import numpy as np
from numpy.typing import NDArray

from protocol.reconnect_place import STEP, turn

LEDGER = "the model's"
"""All devices of the model are of one ledger. Many ledgers are as even, as long as each has as many devices as the
window has seconds (docs/outages.md)."""


def places(numbers: NDArray[np.intp], ledger: str = LEDGER) -> NDArray[np.float64]:
    """The place of every identity of these numbers."""
    turned: NDArray[np.uint64] = numbers.astype(np.uint64) * np.uint64(STEP) + np.uint64(turn(ledger))
    return (turned >> np.uint64(32)).astype(np.float64) / 2.0**32
