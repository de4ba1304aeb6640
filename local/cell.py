"""A cell: one MiniStack process that is one region of the desk's cloud.

A cell's cloud lives exactly as long as its process: every start begins empty. MiniStack saves its state only when it
ends in order, and objects in S3 not at all; a region that came back with half of what it had would be worse than one
known to be empty. `Cell.incarnation` names the one life of a cell; who remembers what was deployed remembers with it
the incarnation it was deployed into, and deploys again when that changed.
"""

import json
import shutil
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from local.account import SECRET_ACCESS_KEY
from local.background import BackgroundProcess, end_strays, log_tail, start_process, stop_processes
from local.cell_tls import CellAuthority, issue_server_certificate
from local.write_file import write_file

LOOPBACK = "127.0.0.1"
RECORD_FILE = "cell.json"
STATE_FORMAT = 3
"""The format of iot.json that MiniStack 1.5.33 writes (ministack/core/persistence.py)."""
READY_PATIENCE_S = 60.0
"""A start takes 0.3 to 2 s alone on two cores; three at once on a busy machine take longer."""
HEALTH_TIMEOUT_S = 5.0
POLL_S = 0.05
ATTEMPTS = 4
"""A free port can be taken by somebody else between our choice and the cell's bind."""
LETTING_GO_S = 2.0
"""Seconds until a killed process's ports are free again; on a busy machine it is not at once."""
_LAUNCHER = Path(__file__).with_name("cell_process.py")


class CellError(Exception):
    """A cell cannot be started; says which, why, and what its log says."""


class _PortTakenError(Exception):
    """Somebody else was faster; another port will do."""


class Cell(BaseModel):
    """A running cell, as its record in the desk's home describes it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    region: str
    endpoint: str
    """The AWS endpoint of this region, `http://127.0.0.1:PORT`."""
    mqtt_port: int
    """MQTT over mutual TLS, on 127.0.0.1."""
    domain: str
    authority: str
    """Fingerprint of the desk's CA whose certificate this cell shows."""
    process: BackgroundProcess

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self.process.pid

    @property
    def incarnation(self) -> str:
        """Changes whenever the region started again, and is therefore empty."""
        return self.process.incarnation

    @property
    def is_healthy(self) -> bool:
        """Whether the process runs, answers and listens for MQTT."""
        return self.process.is_alive and _readiness(self.endpoint) == "listening" and _accepts(self.mqtt_port)


def cell_folder(home: Path, region: str) -> Path:
    """Where a cell keeps its record, log and state."""
    return home.absolute() / "cells" / region


def read_cell(home: Path, region: str) -> Cell | None:
    """The recorded cell of a region, running or not."""
    try:
        return Cell.model_validate_json((cell_folder(home, region) / RECORD_FILE).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValidationError):
        return None


def start_cell(
    home: Path,
    region: str,
    *,
    domain: str,
    authority: CellAuthority,
    now: datetime,
    former: Cell | None,
) -> Callable[[], Cell]:
    """Start a region's process; the answer waits until it is ready and records it.

    In two steps so that several cells start at once. `former`: a cell whose ports are taken again if they are free,
    so that what a user exported stays true.
    """
    folder = cell_folder(home, region)
    certificate = issue_server_certificate(authority, region=region, domain=domain, now=now)

    def launch(ports: tuple[int, int]) -> Cell:
        end_strays(folder)
        _seed(folder, authority, certificate)
        return Cell(
            region=region,
            endpoint=f"http://{LOOPBACK}:{ports[0]}",
            mqtt_port=ports[1],
            domain=domain,
            authority=authority.fingerprint,
            process=start_process(["-P", str(_LAUNCHER), str(folder)], folder, _environment(folder, region, ports)),
        )

    first = launch(_former_ports(former) or _free_ports())

    def ready() -> Cell:
        cell = first
        for _attempt in range(ATTEMPTS):
            try:
                _wait_until_ready(cell)
            except _PortTakenError:
                stop_processes([cell.process])
                cell = launch(_free_ports())
                continue
            except CellError:
                stop_processes([cell.process])
                raise
            write_file(folder / RECORD_FILE, cell.model_dump_json(indent=2))
            return cell
        raise CellError(f"cell {region}: no free port after {ATTEMPTS} attempts; its log ends:\n{log_tail(folder)}")

    return ready


def _seed(folder: Path, authority: CellAuthority, certificate: tuple[str, str]) -> None:
    """Empty the region, and leave in it only who it is."""
    for part in ("state", "tmp", "log", RECORD_FILE):
        target = folder / part
        if target.is_dir():
            shutil.rmtree(target)
        else:
            target.unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    for part in ("state", "tmp"):
        (folder / part).mkdir(mode=0o700)
    state = {
        "__ministack_format__": STATE_FORMAT,
        "payload": {
            "ca": {"ca_cert_pem": authority.certificate_pem, "ca_key_pem": authority.key_pem},
            "mtls_server": {"cert_pem": certificate[0], "key_pem": certificate[1]},
        },
    }
    write_file(folder / "state" / "iot.json", json.dumps(state))


def _environment(folder: Path, region: str, ports: tuple[int, int]) -> dict[str, str]:
    """MiniStack's settings; the machine's own AWS configuration, Docker and temporary folder stay out of reach."""
    return {
        "AUTH": "true",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
        "BIND_HOST": LOOPBACK,
        "DOCKER_HOST": f"unix://{folder}/no-docker.sock",
        "GATEWAY_PORT": str(ports[0]),
        "HOME": str(folder),
        "IOT_MTLS_PORT": str(ports[1]),
        "MINISTACK_HOST": "localhost",
        "MINISTACK_REGION": region,
        "PERSIST_STATE": "1",
        "S3_DATA_DIR": str(folder / "tmp" / "s3"),
        "SFTP_ENABLED": "0",
        "STATE_DIR": str(folder / "state"),
        "TMPDIR": str(folder / "tmp"),
    }


def _wait_until_ready(cell: Cell) -> None:
    deadline = time.monotonic() + READY_PATIENCE_S
    folder = cell.process.folder
    while True:
        readiness = _readiness(cell.endpoint)
        if not cell.process.is_alive:
            if "already in use" in log_tail(folder):
                raise _PortTakenError
            raise CellError(f"cell {cell.region}: its process ended at once; its log ends:\n{log_tail(folder)}")
        if readiness == "listening" and _accepts(cell.mqtt_port):
            return
        if readiness == "degraded":
            raise _PortTakenError
        if time.monotonic() > deadline:
            raise CellError(
                f"cell {cell.region}: not ready after {READY_PATIENCE_S:.0f} s; its log ends:\n{log_tail(folder)}"
            )
        time.sleep(POLL_S)


def _readiness(endpoint: str) -> str:
    """What MiniStack says of its MQTT listener once it is ready: `listening`, `degraded`; empty before."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{endpoint}/_ministack/ready", timeout=HEALTH_TIMEOUT_S) as response:
            answer = json.load(response)
    except (OSError, ValueError):
        return ""
    return str(answer.get("iot_mtls", "")) if isinstance(answer, dict) else ""


def _accepts(port: int) -> bool:
    try:
        socket.create_connection((LOOPBACK, port), timeout=HEALTH_TIMEOUT_S).close()
    except OSError:
        return False
    return True


def _former_ports(former: Cell | None) -> tuple[int, int] | None:
    if former is None:
        return None
    ports = int(former.endpoint.rpartition(":")[2]), former.mqtt_port
    deadline = time.monotonic() + LETTING_GO_S
    while not all(_is_free(port) for port in ports):
        if time.monotonic() > deadline:
            return None
        time.sleep(LETTING_GO_S / 20)
    return ports


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def _free_ports() -> tuple[int, int]:
    with socket.socket() as gateway, socket.socket() as mqtt:
        gateway.bind((LOOPBACK, 0))
        mqtt.bind((LOOPBACK, 0))
        return gateway.getsockname()[1], mqtt.getsockname()[1]
