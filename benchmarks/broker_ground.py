"""What benchmarks of connections stand on: a mosquitto on loopback, the devices that it lets in, and its CPU time."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from device.link import Call, Credentials
from device.resolution import HostPort, Route
from device.simulator.identities import KEEP_ALIVE, SESSION_EXPIRY, Authority, make_devices
from device.simulator.mosquitto import LOOPBACK, Mosquitto
from device.simulator.own_ground import DOMAIN
from protocol.bundle import CHAIN_FILE, KEY_FILE, TRUST_ANCHORS_FILE
from protocol.device_id import DeviceId, parse_device_id
from protocol.hostnames import cluster_hostname, device_hostname

SERVER_NAME = cluster_hostname("eu1", DOMAIN)
WINDOW = timedelta(hours=1)
"""In the bundles; nobody here waits for its place in it."""


@dataclass(frozen=True)
class Ground:
    """A broker, and the folder of each device."""

    broker: Mosquitto
    folders: list[Path]

    def call(self, number: int) -> Call:
        """What device `number` asks for."""
        return Call(
            server_name=self.broker.server_name,
            port=self.broker.port,
            credentials=credentials(self.folders[number]),
            client_id=self.folders[number].name,
            keep_alive=KEEP_ALIVE,
            session_expiry=SESSION_EXPIRY,
        )

    def direct(self, _call: Call) -> HostPort:
        """Where the broker listens."""
        return HostPort(LOOPBACK, self.broker.port)

    async def resolve(self, device: DeviceId, domain: str) -> Route:
        """Every name leads to it."""
        return Route((device_hostname(device, domain), self.broker.server_name), self.broker.server_name)

    def broker_seconds(self) -> float:
        """CPU time of the broker since it was started (proc(5), stat)."""
        assert self.broker.process is not None  # noqa: S101 - it was started; for the type checker
        fields = Path(f"/proc/{self.broker.process.pid}/stat").read_text(encoding="ascii").split()
        return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def ground_of(devices: int, server_name: str = SERVER_NAME) -> Iterator[Ground]:
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
            reconnect_window=WINDOW,
            now=now,
        )
        ground = Ground(Mosquitto(server_name, folder / "broker", authority, now), list(making))
        ground.broker.start()
        try:
            yield ground
        finally:
            ground.broker.kill()


def credentials(folder: Path) -> Credentials:
    """The files of the device in `folder`."""
    return Credentials(folder / CHAIN_FILE, folder / KEY_FILE, folder / TRUST_ANCHORS_FILE)
