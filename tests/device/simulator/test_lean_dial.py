"""The simulator's own connection, against mosquitto: what AWS's client does, it does."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from device.link import Call, ConnectionFailedError, Credentials, Message, NotAcknowledgedError
from device.resolution import HostPort
from device.simulator.conditions import Conditions
from device.simulator.crossing import Upstream
from device.simulator.identities import Authority, make_devices, renew
from device.simulator.impaired_proxy import ImpairedProxy
from device.simulator.lean_dial import LeanDial
from device.simulator.lean_link import ACKNOWLEDGE_TIMEOUT_SECONDS, PING_TIMEOUT_SECONDS, LeanLink
from device.simulator.mosquitto import LOOPBACK, Mosquitto
from device.surroundings import utc_now
from protocol.bundle import CHAIN_FILE, KEY_FILE, TRUST_ANCHORS_FILE
from protocol.device_id import parse_device_id
from protocol.topics import batch_topic, command_filter, command_topic
from tests.device.simulator.paced import PACE, paced

pytestmark = pytest.mark.judge

DOMAIN = "iot.example.com"
SERVER = f"eu1.clusters.{DOMAIN}"
DEVICES = [parse_device_id(name) for name in ("device1", "device2")]
ONE, TWO = DEVICES
HOUR = timedelta(hours=1)


class Ground:
    """A broker, two devices that it knows, and a network between them."""

    def __init__(self, folder: Path) -> None:
        now = datetime.now(UTC)
        self.authority = Authority.make(now)
        self.broker = Mosquitto(SERVER, folder / "broker", self.authority, now)
        self.folder = folder
        self.devices = list(
            make_devices(
                folder / "devices",
                DEVICES,
                self.authority.issue,
                anchors=self.authority.write(folder / "anchors.pem"),
                domain=DOMAIN,
                reconnect_window=HOUR,
                now=now,
            )
        )
        self.proxy = ImpairedProxy(lambda _name: Upstream(HostPort(LOOPBACK, self.broker.port)), lambda: 0.0)
        self.heard: list[Message] = []

    async def dial(self, number: int = 0, dial: LeanDial | None = None, **changed: Any) -> LeanLink:
        folder = self.devices[number]
        call: dict[str, Any] = {
            "server_name": SERVER,
            "port": 8883,
            "credentials": Credentials(folder / CHAIN_FILE, folder / KEY_FILE, folder / TRUST_ANCHORS_FILE),
            "client_id": DEVICES[number],
            "keep_alive": timedelta(minutes=10),
            "session_expiry": HOUR * PACE,
            "proxy": self.proxy.entrance(0),
        }
        return await (dial or LeanDial(PACE))(Call(**(call | changed)), self.heard.append)

    async def refusal(self, number: int = 0, **changed: Any) -> str:
        with pytest.raises(ConnectionFailedError) as refused:
            await self.dial(number, **changed)
        return str(refused.value)


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    made = Ground(tmp_path_factory.mktemp("ground"))
    made.broker.start()
    try:
        yield made
    finally:
        made.broker.kill()


def story(ground: Ground, told: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def with_network() -> None:
        await ground.proxy.open()
        try:
            await told()
        finally:
            ground.proxy.clear()
            await ground.proxy.close()

    ground.heard.clear()
    paced(with_network)


def test_a_device_publishes_to_its_own_topic_and_to_no_other(ground: Ground) -> None:
    async def told() -> None:
        link = await ground.dial()
        assert await link.publish(batch_topic(ONE), b"rows") == 0x10, "accepted, and nobody listens"
        with pytest.raises(NotAcknowledgedError, match="131073 bytes"):
            await link.publish(batch_topic(ONE), b"x" * 131_073)
        with pytest.raises(NotAcknowledgedError, match="NOT_AUTHORIZED"):
            await link.publish(batch_topic(TWO), b"rows")
        link = await ground.dial()
        await link.close()
        await link.close()
        assert link.ended.result().reason == "this side hung up"

    story(ground, told)


def test_a_large_message_arrives_whole_and_commands_come_down(ground: Ground) -> None:
    async def told() -> None:
        link = await ground.dial()
        await link.subscribe(command_filter(ONE), f"$aws/things/{ONE}/jobs/notify")
        back = await ground.dial(1)
        await back.subscribe(command_filter(TWO))
        watch = HostPort(LOOPBACK, ground.broker.watch_port)
        process = await asyncio.create_subprocess_exec(
            *("mosquitto_pub", "-V", "5", "-h", watch.host, "-p", str(watch.port), "-q", "1"),
            *("-t", command_topic(ONE, "note"), "-s"),
            stdin=asyncio.subprocess.PIPE,
        )
        await process.communicate(b"n" * 100_000)
        while not ground.heard:  # noqa: ASYNC110 - the message comes when it comes
            await asyncio.sleep(1)
        assert ground.heard == [Message(command_topic(ONE, "note"), b"n" * 100_000)]
        await link.close()
        await back.close()

    story(ground, told)


def test_a_session_is_resumed_after_a_cut_and_the_device_is_told_why_it_ended(ground: Ground) -> None:
    async def told() -> None:
        first = await ground.dial()
        await first.subscribe(command_filter(ONE))
        ground.proxy.cut()
        assert "Connection reset by peer" in (await first.ended).reason
        with pytest.raises(NotAcknowledgedError, match="no more"):
            await first.publish(batch_topic(ONE), b"rows")
        second = await ground.dial()
        assert second.is_resumed
        third = await ground.dial(session_expiry=timedelta())
        assert not third.is_resumed
        assert (await second.ended).reason == "the broker closed the connection", "another took its session over"
        await third.close()

    story(ground, told)


def test_a_dead_path_is_found_by_a_publish_without_an_answer_and_by_a_ping(ground: Ground) -> None:
    async def told() -> None:
        link, idle = await ground.dial(), await ground.dial(1, keep_alive=timedelta(seconds=100))
        await asyncio.sleep(300)
        assert not idle.ended.done(), "pings are answered"
        ground.proxy.impose(Conditions(is_silent=True))
        with pytest.raises(NotAcknowledgedError, match=f"no answer in {ACKNOWLEDGE_TIMEOUT_SECONDS:.0f} s"):
            await link.publish(batch_topic(ONE), b"rows")
        assert (await idle.ended).reason == f"no answer to a ping in {PING_TIMEOUT_SECONDS:.0f} s"
        assert "no answer in 60 s" in await ground.refusal()

    story(ground, told)


def test_whoever_is_not_whom_it_should_be_is_refused_with_the_reason(ground: Ground, tmp_path: Path) -> None:
    stranger = Authority.make(datetime.now(UTC), "A stranger")
    files = Credentials(
        ground.devices[0] / CHAIN_FILE, ground.devices[0] / KEY_FILE, stranger.write(tmp_path / "stranger.pem")
    )
    key, certificate = stranger.issue(ONE, utc_now())
    (tmp_path / "chain.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    forged = Credentials(tmp_path / "chain.pem", tmp_path / "key.pem", ground.devices[0] / TRUST_ANCHORS_FILE)

    async def told() -> None:
        assert f"its certificate is for {SERVER}" in await ground.refusal(server_name=f"us1.clusters.{DOMAIN}")
        assert "certificate verify failed" in await ground.refusal(credentials=files), "a server of another authority"
        assert "closed" in (said := await ground.refusal(credentials=forged)) or "alert" in said or "broke" in said
        ground.proxy.impose(Conditions(refuses=True))
        assert "the proxy answered 'HTTP/1.1 502 Bad Gateway'" in await ground.refusal()

    story(ground, told)


def test_a_key_that_was_renewed_is_used_from_the_next_connection_on_and_one_that_is_gone_is_told(
    ground: Ground,
) -> None:
    stranger, folder = Authority.make(datetime.now(UTC), "A stranger"), ground.devices[0]
    dial = LeanDial(PACE)

    async def told() -> None:
        await (await ground.dial(dial=dial)).close()
        renew(folder, ONE, stranger.issue, now=utc_now())
        assert await ground.refusal(dial=dial), "the parsed one of before is not used again"
        renew(folder, ONE, ground.authority.issue, now=utc_now())
        await (await ground.dial(dial=dial)).close()
        (folder / KEY_FILE).unlink()
        assert "device1: holds no identity: [Errno 2]" in await ground.refusal(dial=dial)
        (folder / KEY_FILE).write_text("no key")
        assert "device1: holds no identity: " in await ground.refusal(dial=dial)
        renew(folder, ONE, ground.authority.issue, now=utc_now())

    story(ground, told)


def test_a_killed_broker_ends_its_connections_and_is_reached_again_once_it_is_back(ground: Ground) -> None:
    async def told() -> None:
        link = await ground.dial()
        ground.broker.kill()
        assert not ground.broker.is_running
        assert (await link.ended).reason
        assert "502" in await ground.refusal()
        ground.broker.start()
        again = await ground.dial()
        assert not again.is_resumed, "it died with its sessions"
        await again.close()

    story(ground, told)
