"""A real DNS server for tests: knot, which has answered for zones since 2011."""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dns.exception
import dns.flags
import dns.message
import dns.query

CONFIGURATION = """
server:
    rundir: {folder}
    listen: 127.0.0.1@{port}
database:
    storage: {folder}
template:
  - id: default
    storage: {folder}
    journal-content: none
    zonefile-sync: -1
zone:
  - domain: {zone}
    file: zone
log:
  - target: stderr
    any: warning
"""


def judge(program: str) -> str:
    """Where a judge is; Debian puts servers where a user's PATH does not look."""
    found = shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    assert found, f"{program} is missing; install it with scripts/install-judges"
    return found


@dataclass
class Knot:
    """A knotd that serves one zone, given anew as a zone file."""

    folder: Path
    zone: str
    port: int

    def serve(self, text: str) -> None:
        """Serve this zone file instead; its serial must be a later one."""
        (self.folder / "zone").write_text(text)
        self.control("-b", "zone-reload", self.zone)

    def control(self, *arguments: str) -> None:
        command = [judge("knotc"), "-s", str(self.folder / "knot.sock"), *arguments]
        subprocess.run(command, check=True, capture_output=True, timeout=30)

    def wait(self, process: subprocess.Popen[bytes]) -> None:
        """Until it answers; pytest's own time-out ends a wait for one that never does."""
        while True:
            assert process.poll() is None, (self.folder / "log").read_text()
            with contextlib.suppress(OSError, EOFError, dns.exception.DNSException):
                self.ask(self.zone, "SOA")
                return
            time.sleep(0.05)

    def ask(self, name: str, kind: str) -> dns.message.Message:
        query = dns.message.make_query(f"{name}.", kind)
        query.flags = dns.flags.Flag(0)
        return dns.query.tcp(query, "127.0.0.1", port=self.port, timeout=30)

    def dig(self, name: str, kind: str) -> str:
        """What dig prints of the answer; any complaint of its fails."""
        command = [judge("dig"), "@127.0.0.1", "-p", str(self.port), "+norecurse", "+noall", "+comments", "+answer"]
        done = subprocess.run([*command, f"{name}.", kind], check=True, capture_output=True, text=True, timeout=30)
        assert "warning" not in done.stdout.lower(), done.stdout
        return done.stdout


@contextmanager
def running_knot(folder: Path, zone: str) -> Iterator[Knot]:
    """A knotd on a free port of loopback, with an empty zone to begin with."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "knot.conf").write_text(CONFIGURATION.format(folder=folder, port=port, zone=zone))
    found = Knot(folder, zone, port)
    (folder / "zone").write_text(
        f"{zone}. 60 SOA ns.{zone}. admin.{zone}. 0 7200 900 1209600 60\n{zone}. 60 NS ns.example.\n"
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([judge("knotd"), "-c", str(folder / "knot.conf")], stdout=log, stderr=log)
    try:
        found.wait(process)
        yield found
    finally:
        process.terminate()
        process.wait(timeout=30)
