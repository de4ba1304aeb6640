"""The desk's network as one background process: front door, DNS and proxy for the cells of a home."""

import shutil
import socket
import time
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from local.background import BackgroundProcess, end_strays, log_tail, start_process, stop_processes
from local.cells import Cells
from local.loopback_server import LOOPBACK
from local.network_loop import PORTS_FILE, SETTINGS_FILE, WANTED_FILE, CellPorts, Ports, Settings
from local.write_file import write_file

RECORD_FILE = "network.json"
READY_PATIENCE_S = 60.0
"""It is up within a second on a machine with nothing else to do."""
POLL_S = 0.02
PROBE_TIMEOUT_S = 5.0
_PROJECT = Path(__file__).resolve().parent.parent


class NetworkError(Exception):
    """The network cannot be started; says why, and what its log says."""


class Network(BaseModel):
    """The running network, as its record in the desk's home describes it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    settings: Settings
    ports: Ports
    process: BackgroundProcess

    @property
    def front_door_url(self) -> str:
        """The AWS endpoint of every region: `AWS_ENDPOINT_URL`."""
        return f"http://{LOOPBACK}:{self.ports.front_door}"

    @property
    def dns_address(self) -> tuple[str, int]:
        """Host and port of the zone's DNS server, UDP and TCP."""
        return LOOPBACK, self.ports.dns

    @property
    def proxy_address(self) -> tuple[str, int]:
        """Host and port of the CONNECT proxy."""
        return LOOPBACK, self.ports.proxy

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self.process.pid

    @property
    def is_healthy(self) -> bool:
        """Whether the process runs and listens."""
        ports = (self.ports.front_door, self.ports.dns, self.ports.proxy)
        return self.process.is_alive and all(_accepts(port) for port in ports)

    def stop(self) -> None:
        """End it and forget it; its log stays. Harmless when repeated."""
        stop_processes([self.process])
        for name in (RECORD_FILE, PORTS_FILE, SETTINGS_FILE, WANTED_FILE):
            (self.process.folder / name).unlink(missing_ok=True)


def start_network(home: Path, cells: Cells, *, domain: str, vantage_region: str) -> Network:
    """The network of a home, running.

    The one that runs if it serves just this; else a new one, on the same ports where they are free. `vantage_region`:
    the region that devices count as being in. There need be no zone yet: names are looked up in the home cell when
    somebody asks. `NetworkError` if it cannot be started; then nothing is left behind.
    """
    settings = Settings(
        home=home.absolute(),
        domain=domain,
        vantage_region=vantage_region,
        home_region=cells.home_region,
        cells={
            region: CellPorts(aws=int(cell.endpoint.rpartition(":")[2]), mqtt=cell.mqtt_port)
            for region, cell in cells.cells.items()
        },
    )
    former = read_network(home)
    if former is not None and former.settings == settings and former.is_healthy:
        return former
    if former is not None:
        former.stop()
    folder = home.absolute() / "network"
    end_strays(folder)
    shutil.rmtree(folder, ignore_errors=True)
    if former is not None:
        write_file(folder / WANTED_FILE, former.ports.model_dump_json())
    return _start(folder, settings)


def _start(folder: Path, settings: Settings) -> Network:
    write_file(folder / SETTINGS_FILE, settings.model_dump_json(indent=2))
    process = start_process(["-m", "local.network_loop", str(folder)], folder, {"PYTHONPATH": str(_PROJECT)})
    try:
        found = Network(settings=settings, ports=_wait_until_serving(process), process=process)
    except BaseException:
        stop_processes([process])
        raise
    write_file(folder / RECORD_FILE, found.model_dump_json(indent=2))
    return found


def _wait_until_serving(process: BackgroundProcess) -> Ports:
    deadline = time.monotonic() + READY_PATIENCE_S
    while True:
        with suppress(FileNotFoundError):
            return Ports.model_validate_json((process.folder / PORTS_FILE).read_text(encoding="utf-8"))
        if not process.is_alive:
            raise NetworkError(f"the desk's network ended at once; its log ends:\n{log_tail(process.folder)}")
        if time.monotonic() > deadline:
            raise NetworkError(
                f"the desk's network is not ready after {READY_PATIENCE_S:.0f} s; its log ends:\n"
                f"{log_tail(process.folder)}"
            )
        time.sleep(POLL_S)


def read_network(home: Path) -> Network | None:
    """The network a home remembers, running or not."""
    try:
        text = (home.absolute() / "network" / RECORD_FILE).read_text(encoding="utf-8")
        return Network.model_validate_json(text)
    except (FileNotFoundError, ValidationError):
        return None


def _accepts(port: int) -> bool:
    try:
        socket.create_connection((LOOPBACK, port), timeout=PROBE_TIMEOUT_S).close()
    except OSError:
        return False
    return True
