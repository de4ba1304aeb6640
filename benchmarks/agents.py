"""Simulated devices: how much memory each takes, and how quickly a fleet that lost its broker is back.

Real agents in one process, connected to a mosquitto on loopback without a network between. For memory the other side is
one connection of AWS's client with nothing around it.

For the storm it is the broker. It has one thread, which cannot do more connects a second than fit into a second of its
own CPU time: the ceiling is the connects of the storm over what the broker spent on them. Nobody reaches all of it: on
two cores the kernel's work for both sides, and whoever else is there, take their part of the broker's core. How near a
client in C comes is measured beside it, against its own ceiling: as many `openssl s_time` as there are cores, twice,
that do a TLS handshake with a device's key and hang up, again and again, without any MQTT.
"""

import asyncio
import gc
import os
import re
import resource
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import process_time

from benchmarks.broker_ground import Ground, credentials, ground_of
from benchmarks.crowd import Crowd, crowd_of
from benchmarks.measure import Clock, Result, compared
from device.connection import AwsDial
from device.link import Link
from device.simulator.memory import resident_kib
from device.simulator.mosquitto import LOOPBACK

FLEET = int(os.environ.get("BENCH_FLEET", "1000"))
"""5,000 fit into one process; a benchmark that is run often takes fewer."""
AWS_FLEET = 100
C_CLIENTS = 2 * (os.cpu_count() or 1)
"""Each waits for the broker half of the time."""
C_SECONDS = 5
TOLD = re.compile(r"(\d+) connections in \d+ real seconds")
"""What `openssl s_time` says last."""


@dataclass(frozen=True, kw_only=True)
class Storm:
    """Connects, the seconds that they took, and the CPU time of both sides for them."""

    connects: int
    seconds: float
    broker_seconds: float
    client_seconds: float

    @property
    def per_second(self) -> float:
        """Connects."""
        return self.connects / self.seconds

    @property
    def ceiling(self) -> float:
        """As many would fit into a second of the broker's CPU time."""
        return self.connects / self.broker_seconds

    @property
    def client_milliseconds(self) -> float:
        """CPU time of the client for one connect."""
        return self.client_seconds / self.connects * 1000


def results(clock: Clock) -> Iterator[Result]:
    """A smaller fleet for AWS's client, whose connects take 13 ms each."""
    kib, fleet = memory_and_storm_of(FLEET, clock)
    with ground_of(C_CLIENTS) as ground:
        in_c = storm_in_c(ground, clock)
    # AWS's client dials the name that it verifies, and this machine knows no other.
    with ground_of(AWS_FLEET, "localhost") as ground:
        aws_kib = asyncio.run(aws_connections(ground))
    yield compared("simulated device", kib, "KiB", limit=aws_kib, against="a connection of AWS's client alone")
    allowed = "what mosquitto's CPU time for them allows"
    yield compared(f"storm of {FLEET:,} devices", fleet.per_second, "connects/s", limit=fleet.ceiling, against=allowed)
    yield compared("handshakes in C", in_c.per_second, "connects/s", limit=in_c.ceiling, against=allowed)
    yield compared(
        "CPU of a simulated connect",
        fleet.client_milliseconds,
        "ms",
        limit=in_c.client_milliseconds,
        against="a handshake in C, without MQTT",
    )


def memory_and_storm_of(devices: int, clock: Clock) -> tuple[float, Storm]:
    """Of so many, with a broker of their own."""
    with ground_of(devices) as ground:
        return asyncio.run(memory_and_storm(ground, clock))


async def memory_and_storm(ground: Ground, clock: Clock) -> tuple[float, Storm]:
    """KiB a device beyond the first, and how the fleet comes back when its broker was killed."""
    async with crowd_of(ground) as crowd:
        await crowd.come(1)
        await crowd.enter()
        gc.collect()
        before, others = resident_kib(), len(ground.folders) - 1
        await crowd.come(others)
        await crowd.enter()
        gc.collect()
        kib = (resident_kib() - before) / others
        return kib, await storm(crowd, clock)


async def storm(crowd: Crowd, clock: Clock) -> Storm:
    """The broker is killed, with all sessions, and everyone is back as soon as it is."""
    broker, gate = crowd.ground.broker, crowd.gate
    broker.kill()
    await gate.until(lambda: gate.waiting == len(crowd.members))
    broker.start()
    began, broker_used, used = clock(), crowd.ground.broker_seconds(), process_time()
    await crowd.enter()
    return Storm(
        connects=len(crowd.members),
        seconds=clock() - began,
        broker_seconds=crowd.ground.broker_seconds() - broker_used,
        client_seconds=process_time() - used,
    )


def storm_in_c(ground: Ground, clock: Clock, seconds: int = C_SECONDS) -> Storm:
    """As many handshakes as OpenSSL's own program makes; `RuntimeError` when one of it fails."""
    began, broker_used, used = clock(), ground.broker_seconds(), _children_seconds()
    running = [
        subprocess.Popen(_s_time(ground, folder, seconds), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for folder in ground.folders[:C_CLIENTS]
    ]
    said = [process.communicate()[0] for process in running]
    told = [TOLD.search(text) for text in said]
    if not all(told):
        raise RuntimeError(f"openssl s_time: {said}")
    return Storm(
        connects=sum(int(each[1]) for each in told if each),
        seconds=clock() - began,
        broker_seconds=ground.broker_seconds() - broker_used,
        client_seconds=_children_seconds() - used,
    )


async def aws_connections(ground: Ground) -> float:
    """KiB a connection of AWS's client, beyond the first."""
    dial = AwsDial()

    async def connect(number: int) -> Link:
        return await dial(ground.call(number), lambda _message: None)

    links: list[Link] = [await connect(0)]
    gc.collect()
    before = resident_kib()
    links += [await connect(number) for number in range(1, len(ground.folders))]
    gc.collect()
    grown = (resident_kib() - before) / len(links[1:])
    for link in links:
        await link.close()
    return grown


def _s_time(ground: Ground, folder: Path, seconds: int) -> list[str]:
    files = credentials(folder)
    where = f"{LOOPBACK}:{ground.broker.port}"
    command = ["openssl", "s_time", "-new", "-time", str(seconds), "-connect", where, "-verify", "2"]
    return [*command, "-CAfile", str(files.trust_anchors), "-cert", str(files.chain), "-key", str(files.key)]


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
