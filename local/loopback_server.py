"""Serve TCP on loopback, and leave no connection and no task behind when it ends."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

LOOPBACK = "127.0.0.1"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def loopback_server(serve: Serve, *, port: int = 0, head_limit: int = 65536) -> AsyncIterator[int]:
    """Call `serve` for each connection and close the connection after it; yields the port.

    `port`: taken if it is free, else any free one. `head_limit`: bytes that one `readuntil` may gather. A peer that
    goes away ends its own connection only.
    """
    connections: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # asyncio runs this in a task; for the type checker
        connections.add(task)
        try:
            with suppress(ConnectionError, TimeoutError):
                await serve(reader, writer)
        finally:
            connections.discard(task)
            await close(writer)

    server = await _bind(handle, port, head_limit)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        await server.wait_closed()


async def close(writer: asyncio.StreamWriter) -> None:
    """Close one side; a peer that is gone already is as good."""
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


async def _bind(handle: Serve, port: int, head_limit: int) -> asyncio.Server:
    try:
        return await asyncio.start_server(handle, LOOPBACK, port, limit=head_limit)
    except OSError:
        if not port:
            raise
        return await asyncio.start_server(handle, LOOPBACK, 0, limit=head_limit)
