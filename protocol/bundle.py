"""The connection bundle: the folder the factory hands to a device.

- `bundle.json`: this document
- `device.chain.pem`: the device certificate, then its issuers up to, not including, the root
- `device.key.pem`: the private key; only where the factory made it (mode 0600)
- `trust-anchors.pem`: the roots the device accepts for servers
"""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from protocol.batch_window import BatchWindow
from protocol.device_id import DeviceId, parse_device_id
from protocol.keep_alive import LONGEST_KEEP_ALIVE, SHORTEST_KEEP_ALIVE
from protocol.traffic import KEEP_ALIVE, SAFE_RECONNECT_WINDOW, SHORTEST_RECONNECT_WINDOW

BUNDLE_FILE = "bundle.json"
CHAIN_FILE = "device.chain.pem"
KEY_FILE = "device.key.pem"
TRUST_ANCHORS_FILE = "trust-anchors.pem"

MQTT_TLS_PORT = 8883
"""IANA: secure-mqtt."""
LONGEST_RECONNECT_WINDOW = timedelta(days=1)
"""A device told to wait longer is lost rather than spread."""

SESSION_EXPIRY = timedelta(hours=1)
"""What AWS IoT Core gives a persistent session by default; a command sent within it still arrives."""
LONGEST_SESSION_EXPIRY = timedelta(days=7)
"""AWS IoT Core quota "Maximum persistent session expiry", which may be raised to this."""

KeepAliveSeconds = Annotated[int, Field(ge=SHORTEST_KEEP_ALIVE.total_seconds(), le=LONGEST_KEEP_ALIVE.total_seconds())]


class Topics(BaseModel):
    """The topics the device uses, spelled out for firmware that cannot compute them."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    batch: str
    commands: str


class Bundle(BaseModel):
    """What a device must know to connect, other than its key.

    A key that is added has a default, so that a bundle of an older factory is read; `version` changes when a key comes
    to mean something else.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    version: Literal[1] = 1
    device: Annotated[str, AfterValidator(parse_device_id)]
    model: str
    domain: str
    hostname: str
    """The name the device dials; which server name it expects there is `protocol.hostnames.server_name`."""
    port: Annotated[int, Field(ge=1, le=65535)] = MQTT_TLS_PORT
    topics: Topics
    reconnect_window_seconds: Annotated[
        int,
        Field(ge=SHORTEST_RECONNECT_WINDOW.total_seconds(), le=LONGEST_RECONNECT_WINDOW.total_seconds()),
    ] = int(SAFE_RECONNECT_WINDOW.total_seconds())
    """How wide the fleet spreads its return after an outage (`protocol.traffic.reconnect_window`)."""
    reconnect_place: Annotated[float, Field(ge=0, lt=1)] | None = None
    """Where in the window this device has its turn (`protocol.reconnect_place`); without one, chance decides."""

    batch_window: BatchWindow = BatchWindow()
    """How old and how large batches may become: what the hardware model promises. A configuration stays within."""

    keep_alive_seconds: KeepAliveSeconds = int(KEEP_ALIVE.total_seconds())
    """How often the device speaks at least; below every timeout on its path (`protocol.keep_alive`)."""
    keep_alive_seconds_by_operator: dict[str, KeepAliveSeconds] = {}
    """The same, in the networks of operators that forget sooner or forbid to speak so often, by what the modem calls
    them."""
    session_expiry_seconds: Annotated[int, Field(ge=0, le=LONGEST_SESSION_EXPIRY.total_seconds())] = int(
        SESSION_EXPIRY.total_seconds()
    )
    """How long a broker keeps what it has for a device that is away."""

    def keep_alive(self, operator: str) -> timedelta:
        """The interval in the network of that operator."""
        return timedelta(seconds=self.keep_alive_seconds_by_operator.get(operator, self.keep_alive_seconds))

    @property
    def session_expiry(self) -> timedelta:
        """The session's, as a time."""
        return timedelta(seconds=self.session_expiry_seconds)

    @property
    def reconnect_window(self) -> timedelta:
        """The window, as a time."""
        return timedelta(seconds=self.reconnect_window_seconds)

    @property
    def device_id(self) -> DeviceId:
        """The validated device id."""
        return DeviceId(self.device)


def read_bundle(folder: Path) -> Bundle:
    """The bundle document in `folder`; `OSError` or `pydantic.ValidationError` when there is none."""
    return Bundle.model_validate_json((folder / BUNDLE_FILE).read_bytes())
