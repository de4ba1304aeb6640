"""The name of a device, the same in DNS, MQTT, certificates and the cloud.

One string serves as DNS label, MQTT client id, IoT thing name, certificate CN and serialNumber. The grammar is what
all of them take: a DNS label (RFC 1123), lower case because DNS folds case and MQTT does not, and thereby also a
PrintableString (X.680), which has no underscore.
"""

import re
from typing import NewType

DeviceId = NewType("DeviceId", str)

MAX_DEVICE_ID_CHARACTERS = 63  # RFC 1035, section 2.3.4: one DNS label

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")


class InvalidDeviceIdError(ValueError):
    """A text that cannot be a device id; the message says which rule it breaks and the way out."""


def parse_device_id(text: str) -> DeviceId:
    """The device id in `text`, or `InvalidDeviceIdError`."""
    if not text:
        raise InvalidDeviceIdError("a device id is empty; give 1 to 63 lower-case letters, digits and hyphens")
    if len(text) > MAX_DEVICE_ID_CHARACTERS:
        raise InvalidDeviceIdError(
            f"device id {text!r} has {len(text)} characters; a DNS label holds at most {MAX_DEVICE_ID_CHARACTERS}"
        )
    if text.lower() != text:
        raise InvalidDeviceIdError(f"device id {text!r} has capitals; DNS folds case and MQTT does not: use lower case")
    if not _LABEL.fullmatch(text):
        raise InvalidDeviceIdError(
            f"device id {text!r} is no DNS label; use lower-case letters, digits, and hyphens between them"
        )
    return DeviceId(text)
