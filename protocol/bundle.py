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

from protocol.device_id import DeviceId, parse_device_id
from protocol.traffic import SAFE_RECONNECT_WINDOW, SHORTEST_RECONNECT_WINDOW

BUNDLE_FILE = "bundle.json"
CHAIN_FILE = "device.chain.pem"
KEY_FILE = "device.key.pem"
TRUST_ANCHORS_FILE = "trust-anchors.pem"

MQTT_TLS_PORT = 8883
"""IANA: secure-mqtt."""
LONGEST_RECONNECT_WINDOW = timedelta(days=1)
"""A device told to wait longer is lost rather than spread."""


class Topics(BaseModel):
    """The topics the device uses, spelled out for firmware that cannot compute them."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    batch: str
    commands: str


class Bundle(BaseModel):
    """What a device must know to connect, other than its key."""

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
    return Bundle.model_validate_json((folder / BUNDLE_FILE).read_text(encoding="utf-8"))
