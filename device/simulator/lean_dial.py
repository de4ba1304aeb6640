"""A `Dial` for thousands of devices in one process: MQTT 5 over mutual TLS, with what a fleet shares shared."""

import asyncio
from collections.abc import Callable

from device.link import Call, ConnectionFailedError, OnMessage
from device.resolution import HostPort
from device.simulator.lean_link import LeanLink
from device.simulator.lean_tls import Identities

CONNECT_TIMEOUT_SECONDS = 60.0
"""As `device.connection` has it."""


class LeanDial:
    """Opens connections. `pace`: of the event loop; intervals that the broker counts are told so much shorter."""

    __slots__ = ("_direct", "_identities", "_pace")

    def __init__(self, pace: float = 1.0, direct: Callable[[Call], HostPort] | None = None) -> None:
        """`direct`: where a server listens when no proxy leads to it; nothing means its name and port."""
        self._pace, self._direct = pace, direct
        self._identities = Identities()

    async def __call__(self, call: Call, on_message: OnMessage, /) -> LeanLink:
        """Connect once; `ConnectionFailedError` says why not."""
        loop = asyncio.get_running_loop()
        try:
            identity = self._identities.of(call.credentials)
        except (OSError, ValueError, TypeError) as error:
            raise ConnectionFailedError(f"{call.credentials.chain.parent}: holds no identity: {error}") from None
        link = LeanLink(call, identity, on_message, self._pace)
        entrance = call.proxy or (self._direct(call) if self._direct else HostPort(call.server_name, call.port))
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
                await loop.create_connection(lambda: link, entrance.host, entrance.port)
                link.is_resumed = await link.admitted
        except TimeoutError:
            link.abandon()
            where = f"{call.server_name}:{call.port}"
            raise ConnectionFailedError(f"{where}: no answer in {CONNECT_TIMEOUT_SECONDS:.0f} s") from None
        except OSError as error:
            link.abandon()
            raise ConnectionFailedError(f"{call.server_name}:{call.port}: {error.strerror or error}") from None
        except BaseException:
            link.abandon()
            raise
        return link
