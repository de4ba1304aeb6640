"""One device's sampler and sender, a clock that the test turns, and what came out."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from device.configuration import Configuration
from device.row_store import MemoryRows, RowStore
from device.sampler import Sampler
from device.sender import Sender
from protocol.bundle import Bundle, Topics
from protocol.device_id import parse_device_id
from protocol.measurement import Batch, ClockQuality, Reading
from protocol.telemetry import decode_batch
from protocol.topics import batch_topic, command_filter
from tests.device.fake_link import FakeLink, settle
from tests.device.surroundings import surroundings

DEVICE = parse_device_id("device1")
MORNING = datetime(2026, 11, 25, 6, tzinfo=UTC)
BUNDLE = Bundle(
    device=DEVICE,
    model="fl100",
    domain="iot.example.com",
    hostname="device1.gw.iot.example.com",
    topics=Topics(batch=batch_topic(DEVICE), commands=command_filter(DEVICE)),
)


def reading(value: int) -> tuple[Reading, ...]:
    return (Reading("temperature", Decimal(value), "Cel"),)


class Desk:
    """`ran`: seconds since the start; `set_by`: how far the clock was set since."""

    def __init__(
        self, configuration: dict[str, Any] | None = None, *, store: RowStore | None = None, **options: Any
    ) -> None:
        self.ran = 0.0
        self.set_by = timedelta()
        self.quality = ClockQuality.SYNCHRONIZED
        self.events: list[dict[str, Any]] = []
        self.heard: list[Batch] = []
        world = replace(
            surroundings(),
            clock=lambda: MORNING + timedelta(seconds=self.ran) + self.set_by,
            clock_quality=lambda: self.quality,
            monotonic=lambda: self.ran,
        )
        self.store: RowStore = store or MemoryRows(4096, bound_bytes=10**6, emit=self.events.append)
        self.sampler = Sampler(
            source=lambda _moment: reading(int(self.ran)),
            store=self.store,
            surroundings=world,
            configuration=Configuration.model_validate(configuration or {}),
            boot_count=1,
            firmware="1.0.0",
            emit=self.events.append,
        )
        self.sender = Sender(
            bundle=BUNDLE,
            store=self.store,
            sampler=self.sampler,
            surroundings=world,
            emit=self.events.append,
            **options,
        )

    def hear(self, _topic: str, payload: bytes) -> int:
        self.heard.append(decode_batch(payload))
        return 0

    def measure(self, seconds: int) -> None:
        for _ in range(seconds):
            self.ran += 1
            self.sampler.sample()

    def deliver(self, answer: Callable[[str, bytes], int] | None = None) -> None:
        """A connection that stands until nothing moves any more."""

        async def connected() -> None:
            sending = asyncio.ensure_future(self.sender.deliver(FakeLink(answer or self.hear)))
            await settle()
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

        asyncio.run(connected())

    @property
    def values(self) -> list[int]:
        return [int(row.readings[0].value) for batch in self.heard for row in batch.rows]
