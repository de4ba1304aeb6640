"""A process that appends and acknowledges, and says on its standard output what it was promised, as it happens.

    python -m tests.device.buffer.appending FOLDER TOTAL_BYTES STEPS VARIANT

`durable FIRST COUNT` follows an append that returned True, `waiting FIRST COUNT` one that did not, `delivered UP_TO`
stands before an acknowledgement, and events of the buffer are JSON. A row's payload is made of its sequence number.
`lagging` hardly ever acknowledges, so that the ring fills; `uncached` too, and reads from the flash what it gives out.
`scribbling` damages its own file half way, where no row lies. `unsynchronized` and `hasty` are broken on purpose: they
must be caught.
"""

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from time import monotonic

from device.buffer.buffer import Buffer
from device.buffer.capacity import Capacity
from device.buffer.store_file import STORE_FILE


def payload(sequence: int) -> bytes:
    return b"row %d " % sequence + b"." * (40 + sequence % 90)


def say(line: str) -> None:
    os.write(1, line.encode() + b"\n")


def scribble(buffer: Buffer, folder: Path) -> None:
    """A wrong count of free pages in SQLite's header: what `quick_check` calls damage."""
    buffer.close()
    with (folder / STORE_FILE).open("r+b", buffering=0) as file:
        os.pwrite(file.fileno(), b"\0\0\0\7", 36)
        os.fsync(file.fileno())


def main(folder: Path, total_bytes: int, steps: int, variant: str) -> None:
    random = Random(steps)  # noqa: S311 - repeatable
    buffer = Buffer(
        folder,
        Capacity.of_bytes(total_bytes),
        now=datetime.now(UTC),
        monotonic=monotonic,
        random_bits=random.getrandbits,
        emit=lambda event: say(json.dumps(event)),
    )
    if variant == "unsynchronized" and buffer.access.store:
        buffer.access.store.connection.execute("PRAGMA synchronous = OFF")
    if variant == "uncached" and buffer.access.store:
        buffer.access.store.connection.execute("PRAGMA cache_size = 10")
    sequence = 0
    say(f"epoch {buffer.epoch}")
    for step in range(steps):
        if variant == "scribbling" and step == steps // 2:
            scribble(buffer, folder)
        count = random.randint(1, 60)
        if variant == "hasty":
            say(f"durable {sequence} {count}")
        is_durable = buffer.append([payload(sequence + index) for index in range(count)])
        if variant != "hasty":
            say(f"{'durable' if is_durable else 'waiting'} {sequence} {count}")
        sequence += count
        if random.random() < (0.05 if variant == "lagging" else 0.2 if variant == "uncached" else 0.5) and (
            chunk := buffer.oldest(random.randint(1, 100))
        ):
            say(f"delivered {chunk.rows[-1].sequence}")
            buffer.acknowledge(chunk)
    say(f"depth {buffer.depth}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
    os._exit(0)  # As a power cut would: nothing is closed.
