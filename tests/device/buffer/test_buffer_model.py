"""The buffer against a list: whatever is done to it, in whatever order, it says and holds what the list holds."""

import shutil
from datetime import timedelta
from pathlib import Path
from tempfile import mkdtemp

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from device.buffer.capacity import MIN_BYTES, PAGE_BYTES
from device.buffer.row import Chunk, Priority
from tests.device.buffer.opened import Bench

Row = tuple[int, int, bytes]
"""Epoch on the wire, sequence, payload."""
MEMORY = Path("/dev/shm")  # noqa: S108 - hundreds of small files, deleted at the end


class BufferAgainstAList(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.root = Path(mkdtemp(dir=MEMORY if MEMORY.is_dir() else None))
        self.lists: dict[Priority, list[Row]] = {p: [] for p in Priority}
        self.count = dict.fromkeys(Priority, 0)
        self.names: set[tuple[int, int]] = set()
        self.appended = self.delivered = self.heard = self.told_dropped = 0

    @initialize(pages=st.integers(0, 30), lifetime=st.sampled_from([None, 20, 200]))
    def start(self, pages: int, lifetime: int | None) -> None:
        folder = self.root / "0"
        folder.mkdir()
        self.bench = Bench(
            folder,
            total_bytes=MIN_BYTES + pages * PAGE_BYTES,
            times_to_live={Priority.NORMAL: timedelta(seconds=lifetime)} if lifetime else None,
        )
        self.buffer = self.bench.open()

    @rule(priority=st.sampled_from(Priority), count=st.integers(1, 100), size=st.integers(10, 300))
    def append(self, priority: Priority, count: int, size: int) -> None:
        payloads = [b"%0*d" % (size, self.appended + index) for index in range(count)]
        self.appended += count
        first = self.count[priority]
        self.count[priority] += count
        is_durable = self.buffer.append(payloads, priority)
        self.hear(refused=None if is_durable else priority)
        if is_durable:
            rows = [(self.buffer.epoch + priority, first + i, payload) for i, payload in enumerate(payloads)]
            self.lists[priority] += rows
            names = {(epoch, sequence) for epoch, sequence, _ in rows}
            assert not names & self.names, "an epoch and a sequence name one row for ever"
            self.names |= names

    @rule(limit=st.integers(1, 300), is_lost=st.booleans())
    def deliver(self, limit: int, is_lost: bool) -> None:
        chunk = self.buffer.oldest(limit)
        self.hear()
        expected = next((rows for rows in self.lists.values() if rows), [])
        assert (chunk is None) == (not expected), "the highest priority that has any goes first"
        if chunk is None:
            return
        rows = [(chunk.epoch, row.sequence, row.payload) for row in chunk.rows]
        assert rows == expected[: len(rows)], "the oldest first, none left out"
        assert len(rows) == limit or rows == expected or expected[len(rows)][:2] != (chunk.epoch, rows[-1][1] + 1), (
            "no fewer than asked for, as long as they follow one another"
        )
        if not is_lost:
            self.acknowledge(chunk)

    @rule(is_killed=st.booleans())
    def restart(self, is_killed: bool) -> None:
        if is_killed:
            after = self.root / str(int(self.bench.folder.name) + 1)
            shutil.copytree(self.bench.folder, after)
            self.bench.folder = after
        self.buffer.close()
        before, self.buffer = self.buffer, self.bench.open()
        assert self.buffer.epoch > before.epoch

    @precondition(lambda self: self.bench.times_to_live)
    @rule(seconds=st.integers(1, 50))
    def wait(self, seconds: int) -> None:
        self.bench.seconds += seconds

    @invariant()
    def every_row_is_delivered_told_as_dropped_or_there(self) -> None:
        if self.appended:
            assert self.buffer.depth == sum(map(len, self.lists.values()))
            assert self.appended == self.delivered + self.told_dropped + self.buffer.depth

    def acknowledge(self, chunk: Chunk) -> None:
        self.buffer.acknowledge(chunk)
        del self.lists[chunk.priority][: len(chunk.rows)]
        self.delivered += len(chunk.rows)

    def hear(self, refused: Priority | None = None) -> None:
        """What was told as dropped leaves the list at its front; a group that found no room never entered it."""
        for event in self.bench.events[self.heard :]:
            assert event["event"] == "buffer_dropped", event
            priority = Priority[event["priority"].upper()]
            self.told_dropped += event["rows"]
            if (priority, event["reason"]) != (refused, "full"):
                assert len(self.lists[priority]) >= event["rows"]
                del self.lists[priority][: event["rows"]]
        self.heard = len(self.bench.events)

    def teardown(self) -> None:
        self.buffer.close()
        shutil.rmtree(self.root)


TestBufferAgainstAList = BufferAgainstAList.TestCase
TestBufferAgainstAList.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
