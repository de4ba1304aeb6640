"""A cluster of the simulator's own: one mosquitto on loopback, with mutual TLS and each device kept to its topics.

It is killed, not asked to end, and started again on the same port. Beside the devices' listener it has one without TLS,
on loopback, for whoever records what arrives.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from device.simulator.identities import Authority

LOOPBACK = "127.0.0.1"
PROGRAM = "mosquitto"
PLACES = "/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin"
"""Where packages put it that are no places of a user's PATH."""
READY_SECONDS = 30.0
POLL_SECONDS = 0.02
ACCESS = "pattern write dt/%u/#\npattern read cmd/%u/#\npattern write $aws/things/%u/#\npattern read $aws/things/%u/#\n"
"""What each device may do; the same as its policy in the cloud."""


class NoBrokerError(Exception):
    """There is no mosquitto here, or it does not start; says what to do."""


def find_mosquitto() -> str:
    """The program; `NoBrokerError`."""
    found = shutil.which(PROGRAM) or shutil.which(PROGRAM, path=PLACES)
    if found is None:
        raise NoBrokerError(
            "there is no mosquitto on this machine; install it (scripts/install-judges), or give --bundles, --dns and "
            "--proxy of a deployment that is there"
        )
    return found


@dataclass
class Mosquitto:
    """One broker; `start` it."""

    server_name: str
    folder: Path
    authority: Authority
    now: datetime
    port: int = field(init=False)
    watch_port: int = field(init=False)
    """Without TLS."""
    process: "subprocess.Popen[bytes] | None" = None

    def __post_init__(self) -> None:
        """Write its files."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port, self.watch_port = free_ports(2)
        key, certificate = self.authority.issue(self.server_name, self.now)
        anchors = self.authority.write(self.folder / "ca.pem")
        chain, private = self.folder / "server.pem", self.folder / "server.key.pem"
        chain.write_bytes(certificate.public_bytes(Encoding.PEM))
        private.touch(mode=0o600)
        private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        access = self.folder / "access"
        access.touch(mode=0o600)
        access.write_text(ACCESS, encoding="utf-8")
        # mosquitto counts what waits for a recorder that reads slowly, and drops it by default at 1,000 messages.
        (self.folder / "conf").write_text(
            "per_listener_settings true\nmax_queued_messages 0\nmax_inflight_messages 0\n"
            f"listener {self.watch_port} {LOOPBACK}\nallow_anonymous true\n"
            f"listener {self.port} {LOOPBACK}\ncafile {anchors}\ncertfile {chain}\nkeyfile {private}\n"
            f"require_certificate true\nuse_identity_as_username true\nacl_file {access}\n"
            + ("user root\n" if os.getuid() == 0 else ""),
            encoding="utf-8",
        )

    def start(self) -> None:
        """Until it listens; `NoBrokerError` when it does not."""
        with (self.folder / "log").open("ab") as log:
            command = [*_dying_with_us(), find_mosquitto(), "-c", str(self.folder / "conf")]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + READY_SECONDS
        while not (_answers(self.port) and _answers(self.watch_port)):
            if self.process.poll() is not None or time.monotonic() > deadline:
                said = (self.folder / "log").read_text(encoding="utf-8", errors="replace").splitlines()[-5:]
                self.kill()
                raise NoBrokerError(f"mosquitto does not start: {' / '.join(said) or 'it says nothing'}")
            time.sleep(POLL_SECONDS)

    def kill(self) -> None:
        """As a power cut would. Harmless when repeated."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    @property
    def is_running(self) -> bool:
        """Whether it was started and lives."""
        return self.process is not None and self.process.poll() is None


def free_ports(count: int) -> list[int]:
    """Ports on loopback that nobody uses now."""
    held = [socket.create_server((LOOPBACK, 0)) for _ in range(count)]
    try:
        return [server.getsockname()[1] for server in held]
    finally:
        for server in held:
            server.close()


def _dying_with_us() -> list[str]:
    """What a broker is started through, so that the kernel ends it with this process, however that ends.

    prctl(2), PR_SET_PDEATHSIG; nothing where there is no such thing, as on macOS.
    """
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL"] if setpriv else []


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0
