"""The mosquitto configuration of a gateway. Pure: text comes out; file names are relative to the gateway's folder.

Checked against mosquitto 2.0: each listener has rules of its own; `acl_file` grants every SUBSCRIBE, and its read rules
bite at delivery. Bridges are not subject to access rules: what crosses is what the `topic` lines name, and what the
cluster's policy lets the gateway do.
"""

from dataclasses import dataclass
from datetime import datetime

from fleet.gateway.policy import gateway_client_id
from protocol.bundle import MQTT_TLS_PORT
from protocol.device_id import DeviceId
from protocol.topics import DATA_PREFIX, MAX_PAYLOAD_BYTES, command_filter

CONFIGURATION_FILE = "mosquitto.conf"
DEVICE_RULES_FILE = "device.acl"
WATCHER_RULES_FILE = "watcher.acl"
SERVER_CHAIN_FILE = "server.pem"
SERVER_KEY_FILE = "server.key.pem"
CLIENTS_FILE = "admitted-clients.pem"
BRIDGE_CERTIFICATE_FILE = "bridge.pem"
BRIDGE_KEY_FILE = "bridge.key.pem"
CLUSTER_ANCHORS_FILE = "cluster-anchors.pem"

WATCH_PORT = 18_883
"""On loopback, without TLS: for the engineer's own tools."""
MAX_QUEUED_MESSAGES = 10_000
"""For one subscriber that is away, the bridge above all: some hours of one device's batches, one a minute."""
MAX_QUEUED_BYTES = 256 * 1024 * 1024
"""All that, bounded in memory: a desk's machine has other work."""
MAX_PACKET_BYTES = MAX_PAYLOAD_BYTES + 4096
"""What the cluster takes, and room for topic and properties: a message it would refuse is refused here."""
BRIDGE_KEEP_ALIVE_SECONDS = 60
"""AWS IoT takes 30 to 1200 s; a desk wants to know within a minute that its line is down."""


@dataclass(frozen=True, kw_only=True)
class Broker:
    """What the configuration depends on."""

    device: DeviceId
    expires: datetime
    cluster: str
    server_name: str
    """The cluster's, which the bridge dials and verifies."""
    listen_address: str
    """Empty for every address of the machine."""
    listen_port: int
    watch_port: int
    user: str
    """Whom the broker runs as when root starts it: by default it would become a user who cannot read these files."""


def configuration(broker: Broker) -> str:
    """`mosquitto.conf`."""
    device = broker.device
    listen = f"listener {broker.listen_port} {broker.listen_address}".rstrip()
    return f"""\
# The gateway of {device}, until {broker.expires:%Y-%m-%d %H:%M:%S} UTC. Start it with ./start, which ends it then.
user {broker.user}
per_listener_settings true
persistence false
max_queued_messages {MAX_QUEUED_MESSAGES}
max_queued_bytes {MAX_QUEUED_BYTES}
max_packet_size {MAX_PACKET_BYTES}
log_dest stdout
log_type error
log_type warning
log_type notice
log_type information
log_type subscribe
connection_messages true
log_timestamp_format %Y-%m-%dT%H:%M:%S

# For the device: TLS in its own name, and nobody else is let in.
{listen}
tls_version tlsv1.2
certfile {SERVER_CHAIN_FILE}
keyfile {SERVER_KEY_FILE}
cafile {CLIENTS_FILE}
require_certificate true
use_identity_as_username true
allow_anonymous false
acl_file {DEVICE_RULES_FILE}

# For you, on this machine alone.
listener {broker.watch_port} 127.0.0.1
allow_anonymous true
acl_file {WATCHER_RULES_FILE}

# To the device's cluster, so that its data goes on arriving and its commands go on coming.
connection {broker.cluster}
address {broker.server_name}:{MQTT_TLS_PORT}
bridge_protocol_version mqttv50
bridge_tls_version tlsv1.2
bridge_cafile {CLUSTER_ANCHORS_FILE}
bridge_certfile {BRIDGE_CERTIFICATE_FILE}
bridge_keyfile {BRIDGE_KEY_FILE}
bridge_insecure false
bridge_outgoing_retain false
bridge_attempt_unsubscribe false
remote_clientid {gateway_client_id(device)}
cleansession false
notifications false
try_private false
keepalive_interval {BRIDGE_KEEP_ALIVE_SECONDS}
start_type automatic
restart_timeout 2 30
topic {DATA_PREFIX}/{device}/# out 1
topic {command_filter(device)} in 1
"""


def device_rules(device: DeviceId) -> str:
    """What the device may do here: its own topics, as in its cluster, without jobs and shadow."""
    return f"""\
# The certificate's common name is the user name.
user {device}
topic write {DATA_PREFIX}/{device}/#
topic read {command_filter(device)}
"""


def watcher_rules(device: DeviceId) -> str:
    """What you may do on this machine: see everything, and send the device a command."""
    return f"""\
topic read #
topic write {command_filter(device)}
"""
