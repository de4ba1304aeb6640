"""Tests that live in a faster time than the world's."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from device.simulator.paced_loop import PacedLoop

PACE = 200.0
PATIENCE = 60.0 * PACE
"""A minute of the world's: what comes never is an error."""


def paced(test: Callable[..., Coroutine[Any, Any, None]], *arguments: Any) -> None:
    """Run to its end."""

    async def in_time() -> None:
        async with asyncio.timeout(PATIENCE):
            await test(*arguments)

    with asyncio.Runner(loop_factory=lambda: PacedLoop(PACE)) as runner:
        runner.run(in_time())
