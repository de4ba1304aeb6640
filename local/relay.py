"""Carry bytes both ways between two connections until both are done."""

import asyncio
from contextlib import suppress

CHUNK_BYTES = 65536
LINGER_S = 60.0
"""How long one direction may go on after the other has ended: the rest of an answer, not a forgotten connection."""

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def relay(one: Stream, other: Stream, *, linger_s: float = LINGER_S) -> None:
    """Copy until both directions ended, or one broke, or the second took too long after the first.

    The end of one direction is passed on as the end of that direction only, so a peer that has said all may still
    listen. The caller closes both.
    """
    directions = {asyncio.create_task(_copy(one[0], other[1])), asyncio.create_task(_copy(other[0], one[1]))}
    try:
        done, pending = await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        if pending and not any(direction.exception() for direction in done):
            await asyncio.wait(pending, timeout=linger_s)
    finally:
        for direction in directions:
            direction.cancel()
        await asyncio.gather(*directions, return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(CHUNK_BYTES):
        writer.write(chunk)
        await writer.drain()
    with suppress(OSError):
        if writer.can_write_eof():
            writer.write_eof()
