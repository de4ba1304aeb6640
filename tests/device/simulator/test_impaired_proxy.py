"""The network between a fleet and its clusters, on real sockets, in a time that runs two hundred times faster."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import pytest

from device.resolution import HostPort
from device.simulator.conditions import GOOD, Conditions
from device.simulator.crossing import Upstream
from device.simulator.impaired_proxy import LANES, ImpairedProxy
from tests.device.simulator.paced import PATIENCE, paced

EU1, US1 = "eu1.clusters.example.com", "us1.clusters.example.com"
ALL = b"x" * 10_000


class Device:
    """One end of a connection through the proxy."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def status(self) -> str:
        return (await self.reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0].decode().split(" ")[1]

    async def echo(self, data: bytes = b"hello") -> float:
        """How long it takes there and back."""
        began = asyncio.get_running_loop().time()
        self.writer.write(data)
        assert await self.reader.readexactly(len(data)) == data
        return asyncio.get_running_loop().time() - began

    async def hears(self, seconds: float) -> bytes | None:
        """What comes within this time; nothing if nothing does, and empty bytes for the end."""
        try:
            async with asyncio.timeout(seconds):
                return await self.reader.read(1000)
        except TimeoutError:
            return None


class Network:
    """The proxy, and a server behind it that says everything back."""

    def __init__(self, server: HostPort) -> None:
        behind = Upstream(server)
        self.proxy = ImpairedProxy(lambda name: behind if name in {EU1, US1} else None, Random(1).random)  # noqa: S311 - repeatable
        self.devices: list[Device] = []

    async def dial(self, number: int = 0, target: str = EU1) -> Device:
        """A device that has asked its way."""
        entrance = self.proxy.entrance(number)
        reader, writer = await asyncio.open_connection(entrance.host, entrance.port)
        writer.write(f"CONNECT {target}:8883 HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
        self.devices.append(Device(reader, writer))
        return self.devices[-1]

    async def enter(self, number: int = 0) -> Device:
        """One that was let in."""
        device = await self.dial(number)
        assert await device.status() == "200"
        return device


@asynccontextmanager
async def network() -> AsyncIterator[Network]:
    served: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.add(writer)
        try:
            while data := await reader.read(65_536):
                writer.write(data)
        except ConnectionError:
            pass  # cut, as was asked for
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    made = Network(HostPort("127.0.0.1", server.sockets[0].getsockname()[1]))
    await made.proxy.open()
    try:
        yield made
    finally:
        await made.proxy.close()
        for writer in [*served, *(device.writer for device in made.devices)]:
            writer.close()
        server.close()
        await server.wait_closed()
        await asyncio.sleep(1)


def test_a_device_reaches_its_cluster_and_every_byte_comes_back_unchanged() -> None:
    async def story() -> None:
        async with network() as here:
            device = await here.enter()
            await device.echo(bytes(range(256)) * 4_000)
            assert (here.proxy.carried, here.proxy.attempts.total()) == (1, 1)
            device.writer.close()
            while here.proxy.carried:  # noqa: ASYNC110 - the end of a connection is told to nobody
                await asyncio.sleep(0.1)

    paced(story)


def test_a_name_that_leads_nowhere_and_a_cluster_that_refuses_are_refused_at_once() -> None:
    async def story() -> None:
        async with network() as here:
            assert await (await here.dial(target="nowhere.example.com")).status() == "502"
            here.proxy.impose(Conditions(refuses=True), target=EU1)
            assert await (await here.dial()).status() == "502"
            assert await (await here.dial(target=US1)).status() == "200", "the other cluster does not"
            here.proxy.clear()
            await here.enter()
            assert here.proxy.attempts.total() == 4, "every try counts"

    paced(story)


def test_delay_and_bandwidth_hold_for_connections_that_are_open_already() -> None:
    async def story() -> None:
        async with network() as here:
            device = await here.enter()
            here.proxy.impose(Conditions(delay_seconds=30))
            assert await device.echo() >= 60, "there and back"
            here.proxy.impose(Conditions(bytes_per_second=500))
            assert await device.echo(ALL) >= len(ALL) / 500
            here.proxy.impose(GOOD)
            await device.echo(ALL)

    paced(story)


def test_loss_holds_up_a_stream_and_loses_none_of_it() -> None:
    async def story() -> None:
        async with network() as here:
            device = await here.enter()
            here.proxy.impose(Conditions(loss=0.4))
            assert await device.echo(ALL) > 1
            here.proxy.impose(GOOD)
            await device.echo(ALL)

    paced(story)


def test_a_silent_network_tells_nobody_and_what_was_sent_comes_after() -> None:
    async def story() -> None:
        async with network() as here:
            device, leaving = await here.enter(), await here.enter()
            here.proxy.impose(Conditions(is_silent=True))
            device.writer.write(b"are you there")
            newcomer = await here.dial()
            leaving.writer.close()
            assert await device.hears(100) is None
            assert await newcomer.hears(10) is None
            assert here.proxy.carried == 3, "the cluster does not know that one has left"
            here.proxy.impose(GOOD)
            assert await device.reader.readexactly(13) == b"are you there"
            assert await newcomer.status() == "200"

    paced(story)


def test_a_cut_resets_the_connections_of_a_share_of_devices_and_no_others() -> None:
    async def story() -> None:
        async with network() as here:
            devices = [await here.enter(number) for number in range(LANES)]
            assert here.proxy.cut(share=0.3) == 3
            for device in devices[:3]:
                with pytest.raises(ConnectionResetError):
                    await device.reader.read(1)
            for device in devices[3:]:
                await device.echo()
            assert here.proxy.cut(target=US1) == 0

    paced(story)


def test_conditions_of_a_share_leave_the_others_alone() -> None:
    async def story() -> None:
        async with network() as here:
            here.proxy.impose(Conditions(refuses=True), share=0.5)
            answers = [await (await here.dial(number)).status() for number in range(LANES)]
            assert answers == ["502"] * 5 + ["200"] * 5

    paced(story)


def test_a_nat_forgets_who_was_silent_and_neither_end_is_told() -> None:
    async def story() -> None:
        async with network() as here:
            here.proxy.impose(Conditions(forgets_after_seconds=100))
            busy, idle = await here.enter(), await here.enter()
            for _ in range(3):
                await asyncio.sleep(50)
                await busy.echo()
            idle.writer.write(b"hello")
            assert await idle.hears(50) is None, "it goes nowhere"
            here.proxy.impose(GOOD)
            idle.writer.write(b"hello")
            assert await idle.hears(50) is None, "and a connection that was forgotten is not remembered"
            idle.writer.close()
            await asyncio.sleep(20)
            assert here.proxy.carried == 2, "the cluster still believes in it"

    paced(story)


def test_what_is_no_request_is_reset() -> None:
    async def story() -> None:
        async with network() as here:
            entrance = here.proxy.entrance(0)
            reader, writer = await asyncio.open_connection(entrance.host, entrance.port)
            here.devices.append(Device(reader, writer))
            writer.write(b"x" * 20_000)
            with pytest.raises(ConnectionResetError):
                await asyncio.wait_for(reader.read(1), PATIENCE)

    paced(story)
