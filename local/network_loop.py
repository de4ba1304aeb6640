"""The program of the desk's network: front door, DNS and proxy on one event loop, until SIGTERM.

Started by `local.network_process`, which writes what it serves and reads where it listens.
"""

import asyncio
import logging
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import boto3
from botocore.config import Config
from pydantic import BaseModel, ConfigDict

from local.account import ACCOUNT, SECRET_ACCESS_KEY
from local.addresses import read_addresses
from local.connect_proxy import ConnectProxy
from local.dns_server import DnsDatagrams, DnsServer
from local.front_door import FrontDoor
from local.hosted_zone import HostedZone, read_zone
from local.http_head import HEAD_LIMIT_BYTES
from local.loopback_server import LOOPBACK, loopback_server
from local.write_file import write_file

SETTINGS_FILE = "settings.json"
PORTS_FILE = "ports.json"
"""Where it listens; written once it does."""
WANTED_FILE = "wanted.json"
"""Where it listened before, and listens again if it can."""
ROUTE53_TIMEOUT_S = 10
PORT_ATTEMPTS = 20
"""DNS needs the same port over UDP and TCP; a free one over TCP is hardly ever taken over UDP."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CellPorts(_Frozen):
    """Where a cell listens on loopback."""

    aws: int
    mqtt: int


class Ports(_Frozen):
    """Where the network listens on loopback."""

    front_door: int = 0
    dns: int = 0
    proxy: int = 0


class Settings(_Frozen):
    """What the network serves."""

    home: Path
    domain: str
    vantage_region: str
    home_region: str
    cells: dict[str, CellPorts]


def zone_reader(settings: Settings) -> HostedZone:
    """The stack's zone, from the home cell."""
    route53 = boto3.client(
        "route53",
        endpoint_url=f"http://{LOOPBACK}:{settings.cells[settings.home_region].aws}",
        region_name=settings.home_region,
        aws_access_key_id=ACCOUNT,
        aws_secret_access_key=SECRET_ACCESS_KEY,
        config=Config(
            retries={"total_max_attempts": 1},
            connect_timeout=ROUTE53_TIMEOUT_S,
            read_timeout=ROUTE53_TIMEOUT_S,
            proxies={},
        ),
    )
    return HostedZone(partial(read_zone, route53, settings.domain))


@asynccontextmanager
async def network(settings: Settings, wanted: Ports) -> AsyncIterator[Ports]:
    """Serve everything; yields the ports, the `wanted` ones where they are free."""
    zone = zone_reader(settings)
    dns_server = DnsServer(zone.current, vantage=settings.vantage_region, regions=settings.cells.keys())
    front_door = FrontDoor({region: ports.aws for region, ports in settings.cells.items()}, settings.home_region)
    proxy = ConnectProxy(
        zone.current,
        settings.vantage_region,
        {region: ports.mqtt for region, ports in settings.cells.items()},
        partial(read_addresses, settings.home),
    )
    async with AsyncExitStack() as stack:
        yield Ports(
            front_door=await stack.enter_async_context(
                loopback_server(front_door.serve, port=wanted.front_door, head_limit=HEAD_LIMIT_BYTES)
            ),
            dns=await stack.enter_async_context(_dns(dns_server, wanted.dns)),
            proxy=await stack.enter_async_context(
                loopback_server(proxy.serve, port=wanted.proxy, head_limit=HEAD_LIMIT_BYTES)
            ),
        )


@asynccontextmanager
async def _dns(server: DnsServer, wanted: int) -> AsyncIterator[int]:
    loop = asyncio.get_running_loop()
    for _attempt in range(PORT_ATTEMPTS):
        async with AsyncExitStack() as stack:
            port = await stack.enter_async_context(loopback_server(server.serve, port=wanted))
            try:
                transport, _ = await loop.create_datagram_endpoint(
                    lambda: DnsDatagrams(server), local_addr=(LOOPBACK, port)
                )
            except OSError:
                wanted = 0
                continue
            stack.callback(transport.close)
            yield port
            return
    raise OSError(f"no port is free over both UDP and TCP after {PORT_ATTEMPTS} attempts")


async def main(folder: Path) -> None:
    """Serve what `folder` says until SIGTERM or SIGINT."""
    settings = Settings.model_validate_json((folder / SETTINGS_FILE).read_text(encoding="utf-8"))
    wanted = Ports()
    with suppress(FileNotFoundError, ValueError):
        wanted = Ports.model_validate_json((folder / WANTED_FILE).read_text(encoding="utf-8"))
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with network(settings, wanted) as ports:
        write_file(folder / PORTS_FILE, ports.model_dump_json())
        logging.getLogger(__name__).info("serving %s", ports)
        await ended.wait()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s [%(name)s] %(message)s")
    asyncio.run(main(Path(sys.argv[1])))
