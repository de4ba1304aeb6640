"""A device's place in the return of its fleet: a number in [0, 1) that the factory gives it, once.

Places drawn by chance crowd: of 427 devices a second, one second in the return of 1,000,000 has 500. Places that a
ledger gives lie evenly, however many there are and whichever run of them one looks at, and no two ledgers need to talk:
each turns its sequence by a chance of its own. Why the golden ratio: docs/adr/0018.
"""

import hashlib

STEP = 0x9E3779B97F4A7C15
"""2^64 over the golden ratio, odd: of all steps round a circle the one that leaves the most even gaps (Knuth, The Art
of Computer Programming, volume 3, section 6.4, Fibonacci hashing)."""


def reconnect_place(number: int, ledger: str) -> float:
    """The place of identity `number` of a ledger. `ledger`: its name, which no other has; that turns the sequence."""
    return ((number * STEP + turn(ledger)) % (1 << 64) >> 32) / (1 << 32)


def turn(ledger: str) -> int:
    """Where a ledger's sequence begins, in 64 bits of the circle."""
    return int.from_bytes(hashlib.sha256(ledger.encode()).digest()[:8])
