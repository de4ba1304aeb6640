"""A gateway's folder made by the real code from a throw-away factory, and a broker that runs it."""

import getpass
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509

from fleet.gateway.broker import Broker
from fleet.gateway.certificates import (
    GatewayAuthority,
    admitted_clients,
    bridge_certificate,
    redirect_validity,
    server_certificate,
)
from fleet.gateway.folder import START_FILE, Papers, make_or_read_keys, write_folder
from protocol.device_id import parse_device_id
from provisioning.file_signer import FileSigner
from provisioning.key_file import read_authority_key
from provisioning.passphrase import read_kept_passphrase
from tests.provisioning.factory import Factory

DOMAIN = "iot-dev.example.com"
DEVICE = parse_device_id("device1")
HOST = f"{DEVICE}.gw.{DOMAIN}"
PATIENCE_SECONDS = 30.0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@dataclass(frozen=True)
class GatewayDesk:
    """Where the folder is, and where its broker listens."""

    folder: Path
    broker: Broker


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def gateway_authority(factory: Factory) -> GatewayAuthority:
    passphrase = read_kept_passphrase(factory.folder)
    return GatewayAuthority.ready(
        certificate(factory.authorities / "gateway.pem"),
        FileSigner(read_authority_key(factory.folder / "gateway.key.pem", passphrase)),
        DOMAIN,
    )


def make_desk(factory: Factory, folder: Path, *, lasts: timedelta = timedelta(hours=4)) -> GatewayDesk:
    now = datetime.now(UTC).replace(microsecond=0)
    broker = Broker(
        device=DEVICE,
        expires=now + lasts,
        cluster="eu1",
        server_name=f"eu1.clusters.{DOMAIN}",
        listen_address="127.0.0.1",
        listen_port=free_port(),
        watch_port=free_port(),
        user=getpass.getuser(),
    )
    keys, validity, serial = (
        make_or_read_keys(folder),
        redirect_validity(now, broker.expires),
        x509.random_serial_number,
    )
    issuing = [certificate(factory.authorities / "line-a.pem")]
    papers = Papers(
        server=server_certificate(
            DEVICE,
            DOMAIN,
            keys.server.public_key(),
            gateway_authority(factory),
            validity=validity,
            new_serial=serial,
        ),
        admitted=admitted_clients(DEVICE, issuing, validity=validity, new_serial=serial),
        bridge=bridge_certificate(DEVICE, keys.bridge, validity=validity, new_serial=serial),
        cluster_anchors=(factory.authorities / "gateway.pem").read_bytes(),
    )
    write_folder(folder, broker, papers, domain=DOMAIN, address="192.0.2.100", end="the command that ends it")
    return GatewayDesk(folder, broker)


@contextmanager
def running(folder: Path, port: int, *, hosts: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """The broker, started as its person would start it; its log goes beside the folder, into `<folder>.log`.

    `hosts`: names and addresses that this one process sees, in a mount namespace of its own (mosquitto resolves by
    glibc's asynchronous calls, which no preloaded library reaches). Needs root.
    """
    command = [str(folder / START_FILE)]
    if hosts is not None:
        known = folder.parent / f"{folder.name}.hosts"
        known.write_text("".join(f"{address} {name}\n" for name, address in hosts.items()), encoding="utf-8")
        script = 'mount --bind "$0" /etc/hosts && exec "$@"'
        command = ["unshare", "--mount", "sh", "-c", script, str(known), *command]
    log = (folder.parent / f"{folder.name}.log").open("w", encoding="utf-8")
    process = subprocess.Popen(
        command,
        stdout=log,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not _listens(port):
            assert process.poll() is None, (folder.parent / f"{folder.name}.log").read_text(encoding="utf-8")
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield process
    finally:
        # The script becomes `timeout`, whose child is the broker: the session it was started in is ours alone.
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(PATIENCE_SECONDS)
        log.close()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
