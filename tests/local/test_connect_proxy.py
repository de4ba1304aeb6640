"""The proxy: the way by DNS alone to a cell, TLS untouched, and no way to anywhere else."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from local.addresses import read_addresses, stand_for
from local.background import stop_processes
from local.cell_tls import TRUST_ANCHORS_FILE
from local.connect_proxy import ConnectProxy, RefusedError
from local.loopback_server import close, loopback_server
from local.relay import relay
from local.zone import RecordSet, Zone
from tests.local.running_desk import DATA_ENDPOINT, DOMAIN, HOME_REGION, OTHER_REGION, RunningDesk, running_desk

CLUSTER = f"eu1.clusters.{DOMAIN}"


def asked(desk: RunningDesk, target: str, method: str = "CONNECT") -> tuple[int, socket.socket]:
    """The proxy's status, and the connection behind its answer's head."""
    connection = socket.create_connection(desk.network.proxy_address, timeout=60)
    connection.sendall(f"{method} {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        assert byte, f"the proxy closed after {answer!r}"
        answer += byte
    return int(answer.split(b" ")[1]), connection


def reason(connection: socket.socket) -> str:
    with connection:
        return b"".join(iter(lambda: connection.recv(4096), b"")).decode()


def cell_behind(desk: RunningDesk, target: str, server_name: str) -> str:
    """Which cell a device lands on, by the certificate it verified."""
    context = ssl.create_default_context(cafile=str(desk.home / TRUST_ANCHORS_FILE))
    status, connection = asked(desk, target)
    with connection:
        assert status == 200
        with context.wrap_socket(connection, server_hostname=server_name) as secured:
            assert secured.version() == "TLSv1.3"
            shown = x509.load_der_x509_certificate(secured.getpeercert(binary_form=True) or b"")
    return str(shown.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


@pytest.mark.cloud
@pytest.mark.parametrize("port", [8883, 443])
def test_a_device_reaches_its_cell_by_the_clusters_name_and_by_its_own(desk: RunningDesk, port: int) -> None:
    for name in (CLUSTER, f"device1.gw.{DOMAIN}"):
        assert cell_behind(desk, f"{name}:{port}", CLUSTER) == f"Flotilla cell {HOME_REGION}"


@pytest.mark.cloud
def test_a_device_with_a_record_of_its_own_reaches_another_cell_by_dns_alone(tmp_path: Path, desk: RunningDesk) -> None:
    desk.put_record("device-pinned.gw", "CNAME", f"us1.clusters.{DOMAIN}")
    target, server_name = f"device-pinned.gw.{DOMAIN}:8883", f"us1.clusters.{DOMAIN}"
    while cell_behind(desk, target, server_name) != f"Flotilla cell {OTHER_REGION}":
        pass  # the last reading of the zone may be a second old


@pytest.mark.cloud
def test_a_wrong_server_name_fails_the_handshake_through_the_proxy(desk: RunningDesk) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        cell_behind(desk, f"{CLUSTER}:8883", "eu1.clusters.example.org")


@pytest.mark.cloud
@pytest.mark.parametrize(
    ("target", "status", "says"),
    [
        ("example.org:8883", 403, f"not under {DOMAIN}"),
        ("127.0.0.1:8883", 403, f"not under {DOMAIN}"),
        (f"{CLUSTER}:22", 403, "8883, 443"),
        (f"nothing.{DOMAIN}:8883", 502, "NXDOMAIN"),
        (f"clusters.{DOMAIN}:8883", 502, "no address"),
        (CLUSTER, 400, "NAME:PORT"),
        (f"{CLUSTER}:mqtt", 400, "NAME:PORT"),
    ],
)
def test_anything_else_is_refused_with_its_reason(desk: RunningDesk, target: str, status: int, says: str) -> None:
    answered, connection = asked(desk, target)
    assert answered == status
    assert says in reason(connection)


@pytest.mark.cloud
def test_only_connect_is_known(desk: RunningDesk) -> None:
    status, connection = asked(desk, f"http://{CLUSTER}/", method="GET")
    assert status == 405
    assert "CONNECT" in reason(connection)


@pytest.mark.cloud
def test_an_address_is_reached_only_where_the_desk_was_told_what_stands_for_it(desk: RunningDesk) -> None:
    desk.put_record("device-gateway.gw", "A", "192.0.2.100")
    target = f"device-gateway.gw.{DOMAIN}:8883"
    status, connection = asked(desk, target)
    while status == 200:  # the last reading of the zone may be a second old
        connection.close()
        status, connection = asked(desk, target)
    assert status == 502
    assert "nothing on this desk stands for that address" in reason(connection)
    with socket.create_server(("127.0.0.1", 0)) as gateway:
        stand_for(desk.home, "192.0.2.100", 8883, listener=gateway.getsockname()[1])
        assert read_addresses(desk.home) == {"192.0.2.100:8883": gateway.getsockname()[1]}
        status, connection = asked(desk, target)
        assert status == 200
        arrived, _ = gateway.accept()
        with connection, arrived:
            connection.sendall(b"all I have to say")
            connection.shutdown(socket.SHUT_WR)
            assert b"".join(iter(lambda: arrived.recv(4), b"")) == b"all I have to say", "the end is passed on"
            arrived.sendall(b"an answer after it")
            arrived.close()
            assert b"".join(iter(lambda: connection.recv(4), b"")) == b"an answer after it", "and only that end"


@pytest.mark.cloud
def test_a_cell_that_is_gone_is_a_bad_gateway(tmp_path: Path) -> None:
    with running_desk(tmp_path) as desk:
        stop_processes([desk.cells.cells[OTHER_REGION].process])
        status, connection = asked(desk, f"us1.clusters.{DOMAIN}:8883")
        assert status == 502
        assert "does not answer" in reason(connection)
        assert cell_behind(desk, f"{CLUSTER}:8883", CLUSTER) == f"Flotilla cell {HOME_REGION}"


# In process: a zone by hand, a server of our own behind it.


def proxy(mqtt_port: int, addresses: Mapping[str, int] | None = None) -> ConnectProxy:
    zone = Zone(
        DOMAIN,
        (
            RecordSet(CLUSTER, "CNAME", 60, (DATA_ENDPOINT.format(HOME_REGION),)),
            RecordSet(f"xx1.clusters.{DOMAIN}", "CNAME", 60, (DATA_ENDPOINT.format("sa-east-1"),)),
            RecordSet(f"out.{DOMAIN}", "CNAME", 60, ("example.org",)),
            RecordSet(f"gateway.{DOMAIN}", "A", 60, ("192.0.2.100", "192.0.2.101")),
        ),
    )

    async def current() -> Zone:
        return zone

    return ConnectProxy(current, HOME_REGION, {HOME_REGION: mqtt_port}, lambda: addresses or {})


@pytest.mark.parametrize("name", [f"xx1.clusters.{DOMAIN}", f"out.{DOMAIN}"])
def test_a_chain_that_ends_at_no_cell_is_refused_and_shown(name: str) -> None:
    with pytest.raises(RefusedError, match=f"{name} -> .* ends at no cell"):
        asyncio.run(proxy(1).resolve(name, 8883))


def test_of_several_addresses_the_first_one_known_is_taken() -> None:
    known = {"192.0.2.101:8883": 7, "192.0.2.100:443": 8}
    assert asyncio.run(proxy(1, known).resolve(f"gateway.{DOMAIN}", 8883)) == 7


def test_a_zone_that_cannot_be_read_is_a_refusal_with_its_reason() -> None:
    async def broken() -> Zone:
        raise ConnectionRefusedError("home cell is gone")

    with pytest.raises(RefusedError, match="home cell is gone"):
        asyncio.run(ConnectProxy(broken, HOME_REGION, {}).resolve(CLUSTER, 8883))


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def served(serve: Serve) -> AsyncIterator[int]:
    """The port of a proxy whose one cluster is `serve`."""
    async with loopback_server(serve) as cluster, loopback_server(proxy(cluster).serve) as port:
        yield port


async def connected(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"CONNECT {CLUSTER}:8883 HTTP/1.1\r\n\r\n".encode())
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
    return reader, writer


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(4096):
        writer.write(chunk)
        await writer.drain()


def test_a_megabyte_passes_both_ways_unchanged() -> None:
    body = bytes(range(256)) * 4096

    async def story() -> bytes:
        async with served(echo) as port:
            reader, writer = await connected(port)
            sending = asyncio.create_task(_send(writer, body))
            back = await reader.readexactly(len(body))
            await sending
            await close(writer)
            return back

    assert asyncio.run(story()) == body


async def _send(writer: asyncio.StreamWriter, body: bytes) -> None:
    writer.write(body)
    await writer.drain()


def test_a_device_that_vanishes_takes_its_connection_to_the_cell_with_it() -> None:
    async def story() -> None:
        ended = asyncio.Event()

        async def cluster(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
            try:
                assert await reader.read() == b""
            finally:
                ended.set()

        async with served(cluster) as port:
            _reader, writer = await connected(port)
            writer.transport.abort()
            await ended.wait()
            await close(writer)

    asyncio.run(story())


def test_a_cell_that_closes_ends_the_devices_connection() -> None:
    async def cluster(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"bye")

    async def story() -> bytes:
        async with served(cluster) as port:
            reader, writer = await connected(port)
            last = await reader.read()
            await close(writer)
            return last

    assert asyncio.run(story()) == b"bye"


def test_nothing_is_left_when_a_proxy_ends_amid_its_connections() -> None:
    async def story() -> None:
        writers = []
        async with served(echo) as port:
            for head in (b"", b"CONNECT half", f"CONNECT nothing.{DOMAIN}:8883 HTTP/1.1\r\n\r\n".encode()):
                _reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(head)
                writers.append(writer)
            writers.append((await connected(port))[1])
        assert asyncio.all_tasks() == {asyncio.current_task()}
        for writer in writers:
            await close(writer)

    asyncio.run(story())


def test_a_direction_left_alone_ends_after_its_time() -> None:
    async def story() -> None:
        async def quiet(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
            await reader.read()
            await asyncio.Event().wait()

        relayed = asyncio.Event()

        async with loopback_server(quiet) as far:

            async def near(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                upstream = await asyncio.open_connection("127.0.0.1", far)
                await relay((reader, writer), upstream, linger_s=0.05)
                await close(upstream[1])
                relayed.set()

            async with loopback_server(near) as port:
                _reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write_eof()
                await relayed.wait()
                await close(writer)

    asyncio.run(story())
