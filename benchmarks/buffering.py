"""The device's buffer against a plain file and against the obvious table: rows a second, and bytes written for each."""

import itertools
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from secrets import randbits

from benchmarks.batches import reference_batch
from benchmarks.measure import ROUNDS, Clock, Result, compared, rate
from device.buffer.buffer import Buffer
from device.buffer.capacity import Capacity
from device.buffer.row import Chunk
from protocol.senml import encode_rows

GROUP = 60
"""A minute of rows at one a second."""
GROUPS = 100
NAIVE_GROUPS = 2
"""One commit a row: enough to see its pace."""
LARGE, SMALL = 64 * 1024 * 1024, 1024 * 1024
PLAIN = "a file, one write and one fdatasync a group"
NAIVE = "a SQLite table, one commit a row"


class _Device:
    """A buffer that has room, or none."""

    def __init__(self, folder: Path, total_bytes: int) -> None:
        folder.mkdir()
        self.buffer = Buffer(
            folder,
            Capacity.of_bytes(total_bytes),
            now=datetime.now(UTC),
            monotonic=time.monotonic,
            random_bits=randbits,
            emit=lambda _: None,
        )

    def append(self, group: list[bytes]) -> None:
        if not self.buffer.append(group):
            raise RuntimeError("the buffer did not store a group: this is no measurement")

    def take(self, groups: int) -> list[Chunk]:
        """The oldest rows, as `groups` batches that were delivered."""
        chunk = self.buffer.oldest(groups * GROUP)
        if chunk is None or len(chunk.rows) != groups * GROUP:
            raise RuntimeError("there are not as many rows as were appended: this is no measurement")
        starts = range(0, groups * GROUP, GROUP)
        return [replace(chunk, rows=chunk.rows[start : start + GROUP]) for start in starts]


def group_of_rows() -> list[bytes]:
    """A minute of the reference stream, each row encoded by itself."""
    batch = reference_batch(GROUP)
    return [encode_rows(batch.device, (row,)) for row in batch.rows]


def results(clock: Clock) -> Iterator[Result]:
    """Durable rows a second in groups, their acknowledgement, and what the flash had to write for a byte."""
    group = group_of_rows()
    with tempfile.TemporaryDirectory() as folder:
        yield from _results(Path(folder), group, clock)


def _results(folder: Path, group: list[bytes], clock: Clock) -> Iterator[Result]:
    roomy, full = _Device(folder / "roomy", LARGE), _Device(folder / "full", SMALL)
    while not full.buffer.dropped:
        full.append(group)
    with (folder / "plain").open("ab", buffering=0) as file, closing(_naive(folder / "naive")) as table:

        def plain() -> None:
            file.write(b"".join(group))
            os.fdatasync(file.fileno())

        def naive() -> None:
            for payload in group:
                table.execute("INSERT INTO queue (payload) VALUES (?)", (payload,))

        plain_rate = rate(_repeated(plain, GROUPS), clock)
        naive_rate = rate(_repeated(naive, NAIVE_GROUPS), clock)
        append_rate = rate(_repeated(lambda: roomy.append(group), GROUPS), clock)
        unit = "rows/s"
        yield compared("buffer append", append_rate, unit, limit=plain_rate, against=PLAIN)
        yield compared("buffer append", append_rate, unit, limit=naive_rate, against=NAIVE)
        full_rate = rate(_repeated(lambda: full.append(group), GROUPS), clock)
        yield compared("buffer append, full", full_rate, unit, limit=plain_rate, against=PLAIN)
        read_rate = rate(lambda: GROUP * len(roomy.take(GROUPS)), clock)
        yield compared("buffer read", read_rate, unit, limit=append_rate, against="buffer append")
        delivered = iter(roomy.take(ROUNDS * GROUPS))
        acknowledge = _repeated(lambda: roomy.buffer.acknowledge(next(delivered)), GROUPS)
        acknowledge_rate = rate(acknowledge, clock)
        yield compared("buffer acknowledge", acknowledge_rate, unit, limit=append_rate, against="buffer append")

        size = GROUPS * sum(map(len, group))
        plain_bytes = _written(_repeated(plain, GROUPS)) / size
        naive_bytes = _written(_repeated(naive, GROUPS)) / size
        unit = "bytes a byte"
        roomy_bytes = _written(_repeated(lambda: roomy.append(group), GROUPS)) / size
        yield compared("buffer writes, append", roomy_bytes, unit, limit=plain_bytes, against=PLAIN)
        yield compared("buffer writes, append", roomy_bytes, unit, limit=naive_bytes, against=NAIVE)

        def pass_through() -> None:
            full.append(group)
            full.buffer.acknowledge(full.take(1)[0])

        through_bytes = _written(_repeated(pass_through, GROUPS)) / size
        yield compared("buffer writes, append and acknowledge", through_bytes, unit, limit=plain_bytes, against=PLAIN)
    roomy.buffer.close()
    full.buffer.close()


def _naive(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE queue (id INTEGER PRIMARY KEY, payload BLOB NOT NULL)")
    return connection


def _repeated(work: Callable[[], None], groups: int) -> Callable[[], int]:
    def repeat() -> int:
        for _ in itertools.repeat(None, groups):
            work()
        return groups * GROUP

    return repeat


def _written(work: Callable[[], int]) -> int:
    """The bytes this process handed to the kernel meanwhile (Linux, proc(5): `wchar`)."""

    def written() -> int:
        lines = Path("/proc/self/io").read_text(encoding="ascii").splitlines()
        return int(dict(line.split(": ") for line in lines)["wchar"])

    before = written()
    work()
    return written() - before
