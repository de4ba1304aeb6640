"""Simulated devices: how much memory each takes, and how quickly a fleet is connected, beside what the broker can do.

Real agents in one process, connected to a mosquitto on loopback without a network between. The other side is one
connection of AWS's client with nothing around it; for the storm it is the broker itself, whose one thread can do no
more connects a second than fit into a second of its own CPU time.
"""

import asyncio
import gc
import os
import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.measure import Clock, Result, compared
from device.configuration import Configuration
from device.connection import AwsDial
from device.link import Call, Credentials, Link
from device.resolution import HostPort, Route
from device.simulator.identities import KEEP_ALIVE, SESSION_EXPIRY, Authority, make_devices
from device.simulator.lean_dial import LeanDial
from device.simulator.member import Member, World, make_member
from device.simulator.memory import resident_kib
from device.simulator.mosquitto import LOOPBACK, Mosquitto
from device.simulator.own_ground import DOMAIN
from protocol.bundle import CHAIN_FILE, KEY_FILE, TRUST_ANCHORS_FILE
from protocol.device_id import DeviceId, parse_device_id
from protocol.hostnames import cluster_hostname, device_hostname

FLEET = int(os.environ.get("BENCH_FLEET", "1000"))
"""5,000 fit into one process; a benchmark that is run often takes fewer."""
AWS_FLEET = 100
DOMAIN_NAME = cluster_hostname("eu1", DOMAIN)
AT_ONCE = 50
"""As many handshakes are under way at a time."""
PATIENCE_SECONDS = 300.0
HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Ground:
    """A broker, and the devices that it lets in."""

    broker: Mosquitto
    folders: list[Path]

    def direct(self, _call: Call) -> HostPort:
        """Where the broker listens."""
        return HostPort(LOOPBACK, self.broker.port)

    async def resolve(self, device: DeviceId, domain: str) -> Route:
        """Every name leads to it."""
        return Route((device_hostname(device, domain), self.broker.server_name), self.broker.server_name)

    def broker_seconds(self) -> float:
        """CPU time of the broker so far (proc(5), stat)."""
        assert self.broker.process is not None  # noqa: S101 - it was started; for the type checker
        fields = Path(f"/proc/{self.broker.process.pid}/stat").read_text(encoding="ascii").split()
        return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def results(clock: Clock) -> Iterator[Result]:
    """A smaller fleet for AWS's client, whose connects take 13 ms each."""
    with ground_of(FLEET) as ground:
        kib, per_second, ceiling = asyncio.run(storm(ground, clock))
    # AWS's client dials the name that it verifies, and this machine knows no other.
    with ground_of(AWS_FLEET, "localhost") as ground:
        aws_kib = asyncio.run(aws_connections(ground))
    yield compared("simulated device", kib, "KiB", limit=aws_kib, against="a connection of AWS's client alone")
    yield compared(
        f"storm of {FLEET:,} devices",
        per_second,
        "connects/s",
        limit=ceiling,
        against="what mosquitto's CPU time for them allows",
    )


@contextmanager
def ground_of(devices: int, server_name: str = DOMAIN_NAME) -> Iterator[Ground]:
    """A broker of that name, and so many devices."""
    with tempfile.TemporaryDirectory() as name:
        folder, now = Path(name), datetime.now(UTC)
        authority = Authority.make(now)
        making = make_devices(
            folder / "devices",
            [parse_device_id(f"simulated{number}") for number in range(devices)],
            authority.issue,
            anchors=authority.write(folder / "anchors.pem"),
            domain=DOMAIN,
            reconnect_window=HOUR,
            now=now,
        )
        broker = Mosquitto(server_name, folder / "broker", authority, now)
        ground = Ground(broker, list(making))
        broker.start()
        try:
            yield ground
        finally:
            broker.kill()


async def storm(ground: Ground, clock: Clock) -> tuple[float, float, float]:
    """KiB a device beyond the first, connects a second, and the most that the broker's CPU time would allow."""
    world = World(
        random=random.Random(1),  # noqa: S311 - a repeatable stream, no secret
        dial=LeanDial(direct=ground.direct),
        resolve=ground.resolve,
        entrance=lambda _number: None,
        began_at=datetime.now(UTC),
        configuration=Configuration(sample_seconds=60),
        watch_route_every=HOUR,
        buffer_bytes=512 * 1024,
        on_disk=False,
    )
    turns = asyncio.Semaphore(AT_ONCE)
    members: list[Member] = []

    async def join(member: Member) -> None:
        async with turns:
            member.task = asyncio.create_task(member.agent.run())
            while not member.tally.is_connected:  # noqa: ASYNC110 - an agent tells what happens to its tally
                await asyncio.sleep(0.01)

    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            members.append(make_member(0, ground.folders[0], world))
            await join(members[0])
            gc.collect()
            before = resident_kib()
            members += [make_member(number, folder, world) for number, folder in enumerate(ground.folders[1:], 1)]
            began, used = clock(), ground.broker_seconds()
            await asyncio.gather(*(join(member) for member in members[1:]))
            seconds, used = clock() - began, ground.broker_seconds() - used
        gc.collect()
        others = len(ground.folders) - 1
        return (resident_kib() - before) / others, others / seconds, others / used
    finally:
        for member in members:
            if member.task:
                member.task.cancel()
        await asyncio.gather(*(member.task for member in members if member.task), return_exceptions=True)


async def aws_connections(ground: Ground) -> float:
    """KiB a connection of AWS's client, beyond the first."""
    dial = AwsDial()

    async def connect(number: int) -> Link:
        folder = ground.folders[number]
        return await dial(
            Call(
                server_name=ground.broker.server_name,
                port=ground.broker.port,
                credentials=Credentials(folder / CHAIN_FILE, folder / KEY_FILE, folder / TRUST_ANCHORS_FILE),
                client_id=folder.name,
                keep_alive=KEEP_ALIVE,
                session_expiry=SESSION_EXPIRY,
            ),
            lambda _message: None,
        )

    links: list[Link] = [await connect(0)]
    gc.collect()
    before = resident_kib()
    links += [await connect(number) for number in range(1, len(ground.folders))]
    gc.collect()
    grown = (resident_kib() - before) / len(links[1:])
    for link in links:
        await link.close()
    return grown
