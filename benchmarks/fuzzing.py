"""`python -m benchmarks.fuzzing CASES`: batches mutated at random, by a fixed seed, against both decoders.

Of every case the strict decoder is the judge: it refuses with a reason or gives a batch; the fast one must say the very
same; and a batch that was read is stored as exactly the readings it holds. Memory is bounded for all cases together.
The tests run a share; `make fuzz` runs a million.
"""

import base64
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from copy import copy
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from multiprocessing import get_context
from typing import Any

import cbor2
import zstandard

from benchmarks.batches import reference_batch
from device.simulator.memory import forget_peak, peak_kib, resident_kib
from functions.delivery import read_delivery
from functions.lake_files import lake_files
from protocol.columns import columns_of
from protocol.measurement import Batch, ClockQuality
from protocol.senml import BASE_NAME, BASE_TIME, NAME, UNIT, VALUE
from protocol.telemetry import BatchRefusedError, decode_batch, decode_batch_columns, encode_batch

SEED = 20_261_122
STORED_EVERY = 20
"""Of the batches that are read, every so many go on into a file: it costs a hundred times the reading."""
REASONS_SHOWN = 20
PART = 50_000
"""Cases of one seed; the next part takes the next."""
MOST_MEMORY_BYTES = 512 * 1024**2
"""What all cases together may add to the process; one hostile batch at its worst takes about 300 MiB."""

SPICE: tuple[Any, ...] = (
    *(None, True, False, "", "t", "device1/", "device2/", "x" * 64, "x" * 65, "é", b"", b"\x00", [], {}, [1], {0: 1}),
    *(0, 1, -1, 23, 24, 255, 256, 2**28 - 1, 2**28, 2**31, 2**32, 2**53, 2**63 - 1, 2**63, 2**64 - 1, -(2**64), 2**70),
    *(0.0, -0.0, 1.5, 1e-300, 1e300, float("nan"), float("inf"), 2.0**28),
    *(Decimal("0.1"), Decimal("1E+34"), Decimal("1E+35"), Decimal("1E-34"), Decimal("1E-35"), Decimal("268435455.999")),
    *(Decimal("-0.000"), Decimal("1E+400"), Decimal(253402300800), Decimal("1763812800.123456")),
    *(cbor2.CBORTag(1, 5), cbor2.CBORTag(4, [1, 2, 3]), cbor2.CBORTag(99, 1), cbor2.undefined),
)
"""Values at the edges of what the format holds, and beyond them."""


@dataclass
class Tally:
    """What became of the cases."""

    read: int = 0
    stored: int = 0
    refused: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Tally") -> None:
        """Take in what became of other cases."""
        self.read += other.read
        self.stored += other.stored
        self.refused += other.refused

    @property
    def cases(self) -> int:
        """How many there were."""
        return self.read + self.refused.total()


class DisagreementError(Exception):
    """The decoders do not say the same of a case; it holds the bytes."""


def fuzz(cases: int, *, seed: int = SEED) -> Tally:
    """Run so many cases; `DisagreementError` at the first the decoders differ on, and whatever else a case raises."""
    tally = Tally()
    for wire in mutated(cases, random.Random(seed)):  # noqa: S311 - the same cases every time, no secret
        judged = judge(wire)
        if isinstance(judged, str):
            # Numbers and names in a reason are the case's own.
            tally.refused["".join(each for each in judged if not each.isdigit())[:40]] += 1
            continue
        tally.read += 1
        if tally.read % STORED_EVERY == 0:
            store(wire, judged)
            tally.stored += 1
    return tally


def judge(wire: bytes) -> Batch | str:
    """The batch, or the reason; both decoders' word."""
    strict: Batch | str
    try:
        strict = decode_batch(wire)
    except BatchRefusedError as error:
        strict = str(error)
    try:
        envelope, columns = decode_batch_columns(wire)
    except BatchRefusedError as error:
        if str(error) != strict:
            raise DisagreementError(f"{error} / {strict}: {wire.hex()}") from error
        return strict
    if isinstance(strict, str):
        raise DisagreementError(f"read / {strict}: {wire.hex()}")
    walked = columns_of(strict.rows)
    same = (envelope.device, envelope.epoch, envelope.first, envelope.last, envelope.clock) == (
        *(strict.device, strict.epoch, strict.first, strict.last, strict.clock),
    )
    if not same or (columns.times, columns.counts) != (walked.times, walked.counts):
        raise DisagreementError(wire.hex())
    for ours, theirs in ((columns.labels, walked.labels), (columns.amounts, walked.amounts)):
        # As text: 1 and 1.0 are equal, and not the same.
        if [str(ours.values[code]) for code in ours.codes] != [str(theirs.values[code]) for code in theirs.codes]:
            raise DisagreementError(wire.hex())
    return strict


def store(wire: bytes, batch: Batch) -> None:
    """The batch goes on into files, as many readings as it holds."""
    received = int((batch.rows[0].time + timedelta(days=1)).timestamp() * 1000) % (250 * 10**12)
    event = {"payload": base64.b64encode(wire).decode(), "device": batch.device, "received": received}
    files = lake_files([read_delivery(event)], {})
    if sum(file.readings for file in files) != batch.measurements:
        raise DisagreementError(f"stored otherwise than read: {wire.hex()}")


def mutated(cases: int, choose: random.Random) -> Iterator[bytes]:
    """Valid batches changed in their bytes, in their envelope, in their rows' bytes and in their records."""
    seeds = [encode_batch(reference_batch(rows)) for rows in (1, 2, 6)]
    opened = [_open(seed) for seed in seeds]
    ways = (_bytes_of_wire, _envelope, _bytes_of_rows, _records, _records, _frame)
    for _ in range(cases):
        at = choose.randrange(len(seeds))
        envelope, records = opened[at]
        yield choose.choice(ways)(seeds[at], envelope, records, choose)


def _open(wire: bytes) -> tuple[dict[int, Any], list[dict[int, Any]]]:
    envelope = cbor2.loads(wire)
    return envelope, cbor2.loads(zstandard.ZstdDecompressor().decompress(envelope[8]))


Records = list[dict[int, Any]]
Envelope = dict[int, Any]


def _bytes_of_wire(wire: bytes, _envelope: Envelope, _records: Records, choose: random.Random) -> bytes:
    return _scrambled(wire, choose)


def _envelope(_wire: bytes, envelope: Envelope, _records: Records, choose: random.Random) -> bytes:
    changed = dict(envelope)
    for _ in range(choose.randint(1, 2)):
        label = choose.choice([*range(9), 9, "x"])
        if choose.random() < 0.2:
            changed.pop(label, None)
        elif choose.random() < 0.3 and isinstance(changed.get(label), int):
            changed[label] += choose.choice((-1, 1, 2))
        elif label == 7:
            changed[label] = choose.choice([*map(int, ClockQuality), 3, -1])
        else:
            changed[label] = _spice(choose)
    return _dumped(changed)


def _bytes_of_rows(_wire: bytes, envelope: Envelope, records: Records, choose: random.Random) -> bytes:
    return _dumped({**envelope, 8: _framed(_scrambled(_dumped(records), choose), choose)})


def _records(_wire: bytes, envelope: Envelope, records: Records, choose: random.Random) -> bytes:
    """Records with other values, fewer or more labels, in another order, twice or left out."""
    changed: list[Any] = [dict(record) for record in records]
    for _ in range(choose.randint(1, 3)):
        at = choose.randrange(len(changed))
        if not isinstance(changed[at], dict):
            continue
        match choose.randrange(8):
            case 0:
                changed[at].pop(choose.choice([BASE_NAME, BASE_TIME, NAME, UNIT, VALUE]), None)
            case 1:
                changed.insert(at, dict(changed[at]))
            case 2:
                changed[at] = dict(choose.sample(list(changed[at].items()), len(changed[at])))
            case 3:
                changed[at] = _spice(choose)
            case 4 if len(changed) > 1:
                del changed[at]
            case _:
                changed[at][choose.choice([BASE_NAME, BASE_TIME, NAME, UNIT, VALUE, VALUE, 7])] = _spice(choose)
    rows = sum(isinstance(record, dict) and BASE_TIME in record for record in changed)
    # Half of them say how many rows they have, so that what is in the rows decides.
    last = envelope[3] + rows - 1 if choose.random() < 0.5 else envelope[4]
    return _dumped({**envelope, 4: max(last, 0), 8: _framed(_dumped(changed), choose)})


def _frame(_wire: bytes, envelope: Envelope, _records: Records, choose: random.Random) -> bytes:
    """The compressed rows scrambled as they are, or a frame of much of the same."""
    if choose.random() < 0.05:
        size = choose.choice((10**4, 10**6, 4 * 1024**2, 4 * 1024**2 + 1))
        body = _framed(bytes([choose.randrange(256)]) * size, choose)
    else:
        body = _scrambled(envelope[8], choose)
    return _dumped({**envelope, 8: body})


def _spice(choose: random.Random) -> Any:
    value = choose.choice(SPICE)
    # A copy: what is put in here may be changed there.
    return copy(value) if isinstance(value, list | dict) else value


def _framed(body: bytes, choose: random.Random) -> bytes:
    plain = choose.random() < 0.95
    compressor = zstandard.ZstdCompressor(
        level=1, write_checksum=plain, write_content_size=plain or choose.random() < 0.5
    )
    return compressor.compress(body)


def _scrambled(content: bytes, choose: random.Random) -> bytes:
    """Bytes changed, bits turned, pieces cut out, doubled or cut off."""
    changed = bytearray(content)
    for _ in range(choose.randint(1, 3)):
        at = choose.randrange(len(changed) or 1)
        match choose.randrange(5):
            case 0:
                changed[at : at + 1] = bytes([choose.randrange(256)])
            case 1 if changed:
                changed[at] ^= 1 << choose.randrange(8)
            case 2:
                end = at + choose.randrange(1, 16)
                changed[at:end] = changed[at:end] * choose.randrange(3)
            case 3:
                changed[at:at] = choose.randbytes(choose.randrange(1, 9))
            case _:
                if choose.random() < 0.2:
                    del changed[at:]
    return bytes(changed)


def _dumped(item: Any) -> bytes:
    encoded: bytes = cbor2.dumps(item)
    return encoded


def fuzz_in_bounds(cases: int, seed: int) -> tuple[Tally, int]:
    """What became of the cases, and by how many bytes the process had grown when it was largest."""
    before = resident_kib()
    forget_peak()
    tally = fuzz(cases, seed=seed)
    return tally, max(0, peak_kib() - before) * 1024


def main(cases: int) -> int:
    """Run the cases on every processor and tell; 1 when a process took more memory than it may."""
    started = time.monotonic()
    sizes = [min(PART, cases - start) for start in range(0, cases, PART)]
    tally, most = Tally(), 0
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        for part, grown in pool.map(fuzz_in_bounds, sizes, range(SEED, SEED + len(sizes))):
            tally.add(part)
            most = max(most, grown)
    seconds = time.monotonic() - started
    sys.stdout.write(
        f"{tally.cases:,} cases in {seconds:,.0f} s ({tally.cases / seconds:,.0f}/s): {tally.read:,} read, "
        f"{tally.stored:,} of them stored, {tally.refused.total():,} refused for {len(tally.refused)} reasons; "
        f"{most / 1024**2:,.0f} MiB a process at most\n"
    )
    for reason, count in tally.refused.most_common(REASONS_SHOWN):
        sys.stdout.write(f"{count:>12,}  {reason}\n")
    return 1 if most > MOST_MEMORY_BYTES else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000))
