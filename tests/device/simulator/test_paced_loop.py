"""A loop whose time runs faster than the world's, and stands still when the machine has none for it."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

from device.simulator.paced_loop import LONGEST_TURN_SECONDS, PacedLoop


def run(pace: float, story: Callable[[], Coroutine[Any, Any, float]]) -> float:
    with asyncio.Runner(loop_factory=lambda: PacedLoop(pace)) as runner:
        return runner.run(story())


def test_an_hour_passes_in_some_seconds() -> None:
    async def story() -> float:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await asyncio.sleep(3_600)
        return loop.time() - began

    began = time.monotonic()
    assert run(10_000, story) >= 3_599.9
    assert time.monotonic() - began < 60


def test_time_that_the_machine_was_busy_counts_for_little() -> None:
    async def story() -> float:
        loop = asyncio.get_running_loop()
        began = loop.time()
        time.sleep(1.0)  # noqa: ASYNC251 - the loop is held up, which is what this is about
        await asyncio.sleep(0)
        return loop.time() - began

    assert run(100, story) <= 2 * LONGEST_TURN_SECONDS * 100


def test_waits_end_in_their_order() -> None:
    async def story() -> float:
        ended: list[int] = []

        async def wait(seconds: int) -> None:
            await asyncio.sleep(seconds)
            ended.append(seconds)

        await asyncio.gather(*(wait(seconds) for seconds in (30, 10, 20)))
        assert ended == [10, 20, 30]
        return 0

    run(1_000, story)
