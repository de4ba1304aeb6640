"""The way from a device to its cluster: an HTTP CONNECT proxy that stands for the internet of the desk.

It resolves the asked name in the stack's zone, follows the chain to a cluster's data endpoint and connects to that
region's cell. TLS passes through untouched, so the server name stays the cluster's. It contacts nothing outside: a
chain that ends in an address is connected only where the desk was told what stands for that address.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from local.data_endpoint import data_endpoint_region
from local.front_door import CONNECT_PATIENCE_S
from local.http_head import HeadError, answer, read_head
from local.loopback_server import LOOPBACK, close
from local.relay import relay
from local.zone import Outcome, Zone

MQTT_PORTS = frozenset({443, 8883})
"""Where AWS IoT Core takes MQTT with a client certificate; 443 with ALPN."""
_log = logging.getLogger(__name__)


class RefusedError(Exception):
    """The proxy does not connect; `status` is its answer's code, the text its reason."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True)
class ConnectProxy:
    """The proxy: the zone it resolves in, and what stands where on this desk."""

    zone: Callable[[], Awaitable[Zone]]
    vantage: str
    """The region devices count as being in."""
    mqtt_ports: Mapping[str, int]
    """Region to the MQTT port of its cell on loopback."""
    addresses: Callable[[], Mapping[str, int]] = dict
    """`address:port` to the loopback port that stands for it; asked at each connection."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection: one CONNECT, then bytes both ways until both sides are done."""
        try:
            port = await self._target(reader)
            if port is None:
                return
            upstream = await _connect(port)
        except RefusedError as refusal:
            _log.info("refused: %s", refusal)
            writer.write(answer(refusal.status, refusal.status.phrase, str(refusal)))
            await writer.drain()
            return
        try:
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await relay((reader, writer), upstream)
        finally:
            await close(upstream[1])

    async def _target(self, reader: asyncio.StreamReader) -> int | None:
        try:
            head = await read_head(reader)
        except HeadError as error:
            raise RefusedError(HTTPStatus(error.status), str(error)) from None
        if head is None:
            return None
        if head.method != "CONNECT":
            raise RefusedError(HTTPStatus.METHOD_NOT_ALLOWED, "this proxy knows CONNECT only")
        name, colon, port = head.target.rpartition(":")
        if not colon or not port.isascii() or not port.isdigit():
            raise RefusedError(HTTPStatus.BAD_REQUEST, f"{head.target} is not NAME:PORT")
        return await self.resolve(name, int(port))

    async def resolve(self, name: str, port: int) -> int:
        """The loopback port that stands for a name and port; `RefusedError` says why there is none."""
        try:
            zone = await self.zone()
        except Exception as error:  # noqa: BLE001  # whatever it is, the device is told and the proxy goes on
            raise RefusedError(HTTPStatus.BAD_GATEWAY, f"the zone cannot be read: {error}") from None
        found = zone.lookup(name, "A", vantage=self.vantage)
        if found.outcome is Outcome.REFUSED:
            raise RefusedError(HTTPStatus.FORBIDDEN, f"{name} is not under {zone.apex}; nothing else is reached here")
        if port not in MQTT_PORTS:
            raise RefusedError(HTTPStatus.FORBIDDEN, f"port {port} is not one of MQTT's: 8883, 443")
        if found.outcome is not Outcome.NOERROR or not found.records:
            raise RefusedError(HTTPStatus.BAD_GATEWAY, f"{name} has no address in the zone ({found.outcome.name})")
        return self._listener(" -> ".join(found.chain), found.chain[-1], found.addresses, port)

    def _listener(self, chain: str, end: str, addresses: tuple[str, ...], port: int) -> int:
        known = self.addresses()
        for address in addresses:
            if (listener := known.get(f"{address}:{port}")) is not None:
                return listener
        if addresses:
            reason = f"{chain} ends at {', '.join(addresses)}, and nothing on this desk stands for that address"
            raise RefusedError(HTTPStatus.BAD_GATEWAY, reason)
        listener = self.mqtt_ports.get(data_endpoint_region(end) or "")
        if listener is None:
            raise RefusedError(HTTPStatus.BAD_GATEWAY, f"{chain} ends at no cell of this desk")
        return listener


async def _connect(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    try:
        async with asyncio.timeout(CONNECT_PATIENCE_S):
            return await asyncio.open_connection(LOOPBACK, port)
    except OSError as error:
        reason = f"the cluster's cell does not answer ({error}); see: python -m local status"
        raise RefusedError(HTTPStatus.BAD_GATEWAY, reason) from None
