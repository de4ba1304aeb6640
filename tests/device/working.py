"""A device at work in a thread of its own, beside a test that does something to its world."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from device.agent import Agent
from device.assembly import assemble, surroundings_of
from device.link import Credentials
from device.resolution import HostPort
from device.settings import Settings
from device.surroundings import Surroundings, utc_now
from protocol.bundle import CHAIN_FILE, KEY_FILE, TRUST_ANCHORS_FILE

PATIENCE_SECONDS = 60.0


def settings_of(folder: Path, **options: Any) -> Settings:
    files = Credentials(folder / CHAIN_FILE, folder / KEY_FILE, folder / TRUST_ANCHORS_FILE)
    return Settings(**{"credentials": files, **options})


def surroundings_for(settings: Settings, resolver: HostPort) -> Surroundings:
    return surroundings_of(settings, clock=utc_now, resolver=resolver)


@dataclass
class Working:
    """An agent and its thread."""

    assembled: Callable[[], Agent]
    """Called in the thread: the buffer's file belongs to the thread that opened it."""
    events: list[dict[str, Any]]
    summary: dict[str, Any] = field(default_factory=dict)
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    agent: Agent = field(init=False)
    thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        ready = threading.Event()
        self.thread = threading.Thread(target=self._work, args=(ready,))
        self.thread.start()
        assert ready.wait(PATIENCE_SECONDS)

    def told(self, name: str) -> list[dict[str, Any]]:
        return [event for event in list(self.events) if event["event"] == name]

    def call(self, action: Callable[[], object]) -> None:
        """Do something in the agent's own loop."""
        self.loop.call_soon_threadsafe(action)

    def stop(self) -> None:
        """Let it measure no more and deliver what it has."""
        if not self.loop.is_closed():
            self.call(self.agent.stop)
        self.thread.join(PATIENCE_SECONDS)

    def _work(self, ready: threading.Event) -> None:
        self.agent = self.assembled()
        ready.set()
        with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
            self.summary.update(runner.run(self.agent.run()))
        self.agent.store.close()


@contextmanager
def working(
    folder: Path, settings: Settings, surroundings: Surroundings, events: list[dict[str, Any]]
) -> Iterator[Working]:
    at_work = Working(lambda: assemble(folder, settings, surroundings, emit=events.append), events)
    try:
        yield at_work
    finally:
        at_work.stop()
