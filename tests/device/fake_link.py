"""A broker of one device in memory: for what no real one does on demand, such as losing a chosen answer."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from device.link import Ended, Message


class FakeLink:
    """An open connection whose answers the test gives."""

    def __init__(self, answer: Callable[[str, bytes], int]) -> None:
        """`answer`: PUBACK's reason code for a publish; what it raises is raised."""
        self.answer = answer
        self.is_resumed = False
        self.subscribed: list[str] = []
        self.ended: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()

    async def publish(self, topic: str, payload: bytes) -> int:
        await asyncio.sleep(0)
        return self.answer(topic, payload)

    async def subscribe(self, *topic_filters: str) -> None:
        self.subscribed += topic_filters

    async def close(self) -> None:
        if not self.ended.done():
            self.ended.set_result(Ended("closed"))


async def settle(turns: int = 50) -> None:
    """Let everything that can go on without time passing go on."""
    for _ in range(turns):
        await asyncio.sleep(0)


def told(events: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [event for event in events if event["event"] == name]


SECOND = timedelta(seconds=1)
__all__ = ["SECOND", "FakeLink", "Message", "settle", "told"]
