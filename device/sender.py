"""The sender: empties the buffer while there is a connection, batch by batch, oldest first; forgets nothing unheard.

A batch is forgotten when its PUBACK says that somebody heard it. One that nobody subscribed to (0x10) was accepted and
thrown away by the broker: it is kept, and sent again after a delay that grows. Rows that were on their way when a
connection ended go first on the next one, as the same batch, so that a lake that has it only writes it again.
"""

import asyncio
import math
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any

from device.batch_window import (
    Conditions,
    age_of_next_batch,
    rows_after_refusal,
    rows_of_next_batch,
)
from device.buffer.row import Chunk
from device.configuration import WindowWish
from device.link import NO_MATCHING_SUBSCRIBERS, Link, NotAcknowledgedError
from device.row_codec import UnreadableRowError, decode_row
from device.row_store import RowStore
from device.sampler import Sampler
from device.surroundings import Emit, Surroundings
from protocol.batch_window import BatchWindow
from protocol.bundle import Bundle
from protocol.measurement import Batch, Row
from protocol.telemetry import BatchRefusedError, encode_batch
from protocol.traffic import spread, unheard_delay

MEMORY_OF_SENDS = 0.2
"""How much the last send weighs in the link's quality: five sends, some minutes, make a new picture."""
FIRST_BYTES_A_ROW = 30.0
"""On the wire, until the first batch has shown it: five channels compressed with few others (measured)."""
UNREADABLE_SECONDS = 10.0
"""Between two tries to read a buffer that has rows and gives none: its flash fails, perhaps for a moment."""


@dataclass(frozen=True, slots=True)
class OnItsWay:
    """A batch that was made and not yet acknowledged, and the rows of the buffer that it holds."""

    chunk: Chunk
    batch: Batch
    wire: bytes


class Sender:
    """One device's sending."""

    __slots__ = (
        "_bytes_a_row",
        "_deadline",
        "_is_emptying",
        "_is_hurried",
        "_is_leaving",
        "_quality",
        "_wake",
        "_window",
        "batches",
        "bundle",
        "delivered",
        "emit",
        "fixed_rows",
        "on_its_way",
        "sampler",
        "store",
        "surroundings",
        "tells_rows",
        "unheard",
    )

    def __init__(
        self,
        *,
        bundle: Bundle,
        store: RowStore,
        sampler: Sampler,
        surroundings: Surroundings,
        emit: Emit,
        fixed_rows: int | None = None,
        batches: int | None = None,
        tells_rows: bool = True,
    ) -> None:
        """`fixed_rows`: as many rows a batch, whatever the window says. `batches`: send no more than so many.

        `tells_rows`: the events of acknowledged batches name each measurement.
        """
        self.bundle, self.store, self.sampler = bundle, store, sampler
        self.surroundings, self.emit = surroundings, emit
        self.fixed_rows, self.batches, self.tells_rows = fixed_rows, batches, tells_rows
        self.on_its_way: OnItsWay | None = None
        self.delivered = self.unheard = 0
        self._bytes_a_row, self._quality = FIRST_BYTES_A_ROW, 1.0
        self._deadline: float | None = None
        """When what waits leaves, however little it is; nothing while nothing waits."""
        self._is_emptying = self._is_leaving = self._is_hurried = False
        """Emptying: all that waited when it was due goes, the lower priorities too."""
        self._wake: asyncio.Event | None = None
        self._window: tuple[WindowWish, BatchWindow] | None = None
        """The wish that was looked at last, and what it came to."""
        sampler.on_rows = self._on_rows

    @property
    def waiting(self) -> int:
        """How many rows were measured and not delivered."""
        return self.store.depth + self.sampler.waiting

    async def deliver(self, link: Link) -> None:
        """Send what is due, until `leave`, or until a sampler that has finished left nothing behind.

        `NotAcknowledgedError` when an answer did not come; what was on its way is sent first next time.
        """
        self._is_leaving, self._wake = False, asyncio.Event()
        unheard_in_a_row = 0
        while await self._is_due():
            self.on_its_way = self.on_its_way or self._next()
            if self.on_its_way is None:
                await self._pause(UNREADABLE_SECONDS)
                continue
            if await self._send(link, self.on_its_way):
                unheard_in_a_row = 0
                continue
            delay = unheard_delay(unheard_in_a_row, self.surroundings.random).total_seconds()
            unheard_in_a_row += 1
            first, last = self.on_its_way.batch.first, self.on_its_way.batch.last
            self.emit({"event": "unheard", "first": first, "last": last, "retry_in_seconds": round(delay, 1)})
            if self._is_hurried:
                return
            await self._pause(delay)

    def hurry(self) -> None:
        """From now on do not wait for somebody to subscribe; what nobody hears stays in the store."""
        self._is_hurried = True
        if self._wake:
            self._wake.set()

    def leave(self) -> None:
        """Send no further batch; `deliver` returns once the one on its way is answered."""
        self._is_leaving = True
        if self._wake:
            self._wake.set()

    def _on_rows(self) -> None:
        is_first = self._deadline is None
        if self._wake and (is_first or self.sampler.is_finished or self.sampler.has_urgent or self._has_enough()):
            self._wake.set()

    async def _is_due(self) -> bool:
        """True once a batch is due; False when there will be none."""
        while not self._is_leaving and self.delivered != self.batches:
            if self.on_its_way or (self._is_emptying and self.store.depth):
                return True
            self._is_emptying = False
            if self.sampler.is_finished:
                return self.store.depth > 0
            remaining = self._remaining()
            if remaining <= 0 or self.sampler.has_urgent or self._has_enough():
                self.sampler.hand_over()
                self._is_emptying, self._deadline = not self.fixed_rows, None
                return True
            await self._woken(remaining)
        return False

    def _has_enough(self) -> bool:
        return self.waiting >= (self.fixed_rows or self._rows(backlog=0))

    def _remaining(self) -> float:
        """Seconds until the oldest row that waits has the age at which its batch leaves."""
        if self.fixed_rows or not self.waiting:
            return math.inf
        now = self.surroundings.monotonic()
        if self._deadline is None:
            age = age_of_next_batch(self._contract(), self._conditions())
            self._deadline = now + spread(age, self.surroundings.random).total_seconds()
        return self._deadline - now

    async def _woken(self, seconds: float) -> None:
        """Return when there may be news, or after so long."""
        if self._wake:
            self._wake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(None if math.isinf(seconds) else seconds):
                    await self._wake.wait()

    async def _pause(self, seconds: float) -> None:
        """Wait, but not longer than this side stays."""
        until = self.surroundings.monotonic() + seconds
        while not (self._is_leaving or self._is_hurried) and (left := until - self.surroundings.monotonic()) > 0:
            await self._woken(left)

    async def _send(self, link: Link, sent: OnItsWay) -> bool:
        """Whether somebody heard it; then it is forgotten."""
        try:
            code = await link.publish(self.bundle.topics.batch, sent.wire)
        except NotAcknowledgedError:
            self._quality -= MEMORY_OF_SENDS * self._quality
            raise
        if code == NO_MATCHING_SUBSCRIBERS:
            self.unheard += 1
            return False
        self._quality += MEMORY_OF_SENDS * (1 - self._quality)
        self._bytes_a_row = len(sent.wire) / len(sent.batch.rows)
        self.store.acknowledge(sent.chunk)
        self.on_its_way = None
        self.delivered += 1
        self.emit(self._told(sent))
        return True

    def _next(self) -> OnItsWay | None:
        """The next batch of the oldest rows; what no batch can hold is given up, and told."""
        limit = self.fixed_rows or self._rows(backlog=self.store.depth)
        while chunk := self.store.oldest(limit):
            try:
                chunk, batch = self._batch(chunk)
                return OnItsWay(chunk, batch, encode_batch(batch))
            except (UnreadableRowError, BatchRefusedError) as error:
                if len(chunk.rows) > 1:
                    limit = rows_after_refusal(len(chunk.rows))
                    continue
                self.store.acknowledge(chunk)
                self.emit({"event": "row_refused", "sequence": chunk.rows[0].sequence, "reason": str(error)})
        return None

    def _batch(self, chunk: Chunk) -> tuple[Chunk, Batch]:
        """The rows of `chunk` as a batch, up to the first that was sampled under another envelope."""
        decoded = [decode_row(payload) for payload in chunk.payloads]
        provenance = decoded[0][0]
        alike = sum(1 for _ in takewhile(lambda row: row[0] == provenance, decoded))
        numbered = zip(chunk.rows[:alike], decoded, strict=False)
        batch = Batch(
            device=self.bundle.device_id,
            epoch=chunk.epoch,
            firmware=provenance.firmware,
            boot_count=provenance.boot_count,
            clock=provenance.clock,
            rows=tuple(Row(stored.sequence, time, readings) for stored, (_, time, readings) in numbered),
        )
        return replace(chunk, rows=chunk.rows[:alike]), batch

    def _rows(self, *, backlog: int) -> int:
        return rows_of_next_batch(
            self._contract(),
            self._conditions(),
            backlog=backlog,
            sample_every=self.sampler.every,
            bytes_a_row=self._bytes_a_row,
        )

    def _contract(self) -> BatchWindow:
        """What the model promises, as the configuration narrows it; asked for with every row."""
        wish = self.sampler.configuration.window
        if self._window is None or self._window[0] is not wish:
            self._window = wish, wish.within(self.bundle.batch_window)
        return self._window[1]

    def _conditions(self) -> Conditions:
        return Conditions(cost=self.sampler.configuration.tariff, quality=self._quality)

    def _told(self, sent: OnItsWay) -> dict[str, Any]:
        batch = sent.batch
        told = {
            "event": "acknowledged",
            "epoch": batch.epoch,
            "first": batch.first,
            "last": batch.last,
            "measurements": batch.measurements,
            "bytes": len(sent.wire),
        }
        if not self.tells_rows:
            return told
        rows = [
            [row.sequence, row.time.isoformat(), reading.channel, str(reading.value), reading.unit]
            for row in batch.rows
            for reading in row.readings
        ]
        return told | {"rows": rows}
