"""A gateway's folder: everything its broker needs to run, and what a person needs to know.

Keys are made here, once, and stay (mode 0600); all else is written anew each time, so a rerun after a crash or with a
later end completes the folder. The start script comes last: where it stands, the folder is complete.
"""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from fleet.gateway.broker import (
    BRIDGE_CERTIFICATE_FILE,
    BRIDGE_KEY_FILE,
    CLIENTS_FILE,
    CLUSTER_ANCHORS_FILE,
    CONFIGURATION_FILE,
    DEVICE_RULES_FILE,
    SERVER_CHAIN_FILE,
    SERVER_KEY_FILE,
    WATCHER_RULES_FILE,
    Broker,
    configuration,
    device_rules,
    watcher_rules,
)
from protocol.device_id import DeviceId
from protocol.hostnames import device_hostname
from provisioning.algorithm import PrivateKey
from provisioning.durable import make_folder, write_durably
from provisioning.key_file import make_or_read_device_key

START_FILE = "start"
README_FILE = "README.txt"
FOLDER_MODE = 0o700
START_MODE = 0o755


@dataclass(frozen=True, kw_only=True)
class Keys:
    """The two keys of a gateway."""

    server: PrivateKey
    bridge: PrivateKey


@dataclass(frozen=True, kw_only=True)
class Papers:
    """The certificates of a gateway."""

    server: x509.Certificate
    admitted: Sequence[x509.Certificate]
    bridge: x509.Certificate
    cluster_anchors: bytes
    """PEM of the roots the cluster's server certificate stands under."""


def make_or_read_keys(folder: Path) -> Keys:
    """The keys in the folder, made if there are none."""
    make_folder(folder, mode=FOLDER_MODE)
    return Keys(
        server=make_or_read_device_key(folder / SERVER_KEY_FILE),
        bridge=make_or_read_device_key(folder / BRIDGE_KEY_FILE),
    )


def write_folder(folder: Path, broker: Broker, papers: Papers, *, domain: str, address: str, end: str) -> None:
    """Write everything but the keys, which are there. `end`: the command that ends the redirect early."""
    device = broker.device
    files = {
        SERVER_CHAIN_FILE: papers.server.public_bytes(Encoding.PEM),
        CLIENTS_FILE: b"".join(certificate.public_bytes(Encoding.PEM) for certificate in papers.admitted),
        BRIDGE_CERTIFICATE_FILE: papers.bridge.public_bytes(Encoding.PEM),
        CLUSTER_ANCHORS_FILE: papers.cluster_anchors,
        DEVICE_RULES_FILE: device_rules(device).encode(),
        WATCHER_RULES_FILE: watcher_rules(device).encode(),
        CONFIGURATION_FILE: configuration(broker).encode(),
        README_FILE: _readme(folder, broker, domain=domain, address=address, end=end).encode(),
    }
    for name, data in files.items():
        write_durably(folder / name, data)
    write_durably(folder / START_FILE, _start(broker).encode(), mode=START_MODE)


def watch_command(broker: Broker) -> str:
    """What shows every message as it comes."""
    return f"mosquitto_sub -h 127.0.0.1 -p {broker.watch_port} -t '#' -F '%I %t %l bytes %x'"


def start_command(folder: Path) -> str:
    """What starts the gateway."""
    return shlex.quote(str(folder / START_FILE))


def _start(broker: Broker) -> str:
    return f"""\
#!/bin/sh
# Runs the gateway of {broker.device} until you stop it, at most until the redirect ends: {_until(broker)}.
# The broker must stop then: the device, still connected, would not look where its name leads now.
cd "$(dirname "$0")" || exit 1
PATH="$PATH:/usr/sbin:/usr/local/sbin"
left=$(({int(broker.expires.timestamp())} - $(date +%s)))
if [ "$left" -le 0 ]; then
  echo "the redirect of {broker.device} has ended, and its certificates with it" >&2
  exit 1
fi
exec timeout --foreground "$left" mosquitto -c {CONFIGURATION_FILE}
"""


def _until(broker: Broker) -> str:
    return f"{broker.expires:%Y-%m-%d %H:%M:%S} UTC"


def _readme(folder: Path, broker: Broker, *, domain: str, address: str, end: str) -> str:
    device: DeviceId = broker.device
    return f"""\
The gateway of {device}
{"=" * (len(device) + 15)}

Until {broker.expires:%Y-%m-%d %H:%M:%S} UTC the name {device_hostname(device, domain)} leads to {address}, port 8883.
Everything in this folder ends then, and a sweep sends the device home.

Start the gateway (mosquitto 2.0 or later):
    {start_command(folder)}

See what the device sends, as it comes:
    {watch_command(broker)}

Send it a command:
    mosquitto_pub -h 127.0.0.1 -p {broker.watch_port} -q 1 -t 'cmd/{device}/NAME' -m 'TEXT'

End it early:
    {end}

Its data goes on to {broker.cluster} ({broker.server_name}) while the gateway runs, and its commands come from there.
Jobs and the shadow are not passed on. Nothing is kept on this machine. The device comes within some minutes: it looks
its name up again when its connection ends, and the old answer may be remembered for a minute.

The two keys (*.key.pem) never leave this folder. A copy of them lets its owner read what this device sends and send
in its name, until the end stated above and for this device alone.
"""
