"""A device's connection for tests that are not in an event loop themselves: each call waits for its answer."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from datetime import timedelta
from functools import cache
from typing import Any, TypeVar

from device.connection import AwsDial
from device.link import Call, Credentials, Link, Message
from device.resolution import HostPort
from protocol.traffic import KEEP_ALIVE

Result = TypeVar("Result")


@cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    return loop


def _wait(work: Coroutine[Any, Any, Result]) -> Result:
    return asyncio.run_coroutine_threadsafe(work, _loop()).result()


class Line:
    """An open connection."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def publish(self, topic: str, payload: bytes) -> int:
        return _wait(self._link.publish(topic, payload))

    def subscribe(self, topic_filter: str) -> None:
        _wait(self._link.subscribe(topic_filter))

    def wait_ended(self, timeout_seconds: float) -> str | None:
        """Why it is no more; nothing when it still stands after the time."""

        async def ended() -> str | None:
            await asyncio.wait({self._link.ended}, timeout=timeout_seconds)
            return self._link.ended.result().reason if self._link.ended.done() else None

        return _wait(ended())

    @property
    def is_open(self) -> bool:
        return not self._link.ended.done()

    def close(self) -> None:
        _wait(self._link.close())


def connect(
    server_name: str,
    port: int,
    credentials: Credentials,
    *,
    client_id: str,
    proxy: HostPort | None = None,
    on_message: Callable[[Message], None] | None = None,
) -> Line:
    """Connect once; `ConnectionFailedError` says why not."""
    call = Call(
        server_name=server_name,
        port=port,
        credentials=credentials,
        client_id=client_id,
        keep_alive=KEEP_ALIVE,
        session_expiry=timedelta(),
        proxy=proxy,
    )
    return Line(_wait(AwsDial()(call, on_message or (lambda _message: None))))
