"""What else a birth certificate calls its device, beside the subject: the choices of a factory file.

No `urn:` is among them: linters take a URI for the address of a host, and refuse those (pkilint, RFC 5280 4.2.1.6).
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat import asn1

from protocol.device_id import DeviceId
from protocol.hostnames import device_hostname
from provisioning.der import OCTET_STRING, element, sequence

HARDWARE_MODULE_NAME = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.4")
"""RFC 4108, section 5: id-on-hardwareModuleName, the name that IEEE 802.1AR has for a device."""

_DNS_NAME = 0x82
"""GeneralName, [2] IMPLICIT IA5String."""
_OTHER_NAME = 0xA0
"""GeneralName, [0] IMPLICIT OtherName."""
_VALUE = 0xA0
"""OtherName, [0] EXPLICIT."""


class NameKind(StrEnum):
    """How a factory file says it."""

    NONE = "none"
    """The subject alone: AWS IoT and our brokers read nothing else."""
    HARDWARE_MODULE = "hardware-module"
    """The type of hardware, by an object identifier of its maker, and the device id as its serial number."""
    HOST_NAME = "host-name"
    """`<device>.gw.<domain>`: for brokers that read a DNS name. It may prove a client only, so it makes no server."""


@dataclass(frozen=True)
class HostName:
    """The name the device dials, of one domain."""

    domain: str

    def name(self, device: DeviceId) -> x509.GeneralName:
        """The name, as the library has it."""
        return x509.DNSName(device_hostname(device, self.domain))

    def der(self, device: DeviceId) -> bytes:
        """The same name in DER."""
        return element(_DNS_NAME, device_hostname(device, self.domain).encode("ascii"))


@dataclass(frozen=True)
class HardwareModule:
    """The hardware module name of one type of hardware."""

    hardware_type: str
    """An object identifier, dotted; below the maker's private enterprise number."""

    def name(self, device: DeviceId) -> x509.GeneralName:
        """The name, as the library has it."""
        return x509.OtherName(HARDWARE_MODULE_NAME, self._value(device))

    def der(self, device: DeviceId) -> bytes:
        """The same name in DER."""
        return element(
            _OTHER_NAME, _object_identifier(HARDWARE_MODULE_NAME.dotted_string) + element(_VALUE, self._value(device))
        )

    def _value(self, device: DeviceId) -> bytes:
        return sequence(_object_identifier(self.hardware_type), element(OCTET_STRING, device.encode("ascii")))


@lru_cache
def _object_identifier(dotted: str) -> bytes:
    return asn1.encode_der(x509.ObjectIdentifier(dotted))


AlternativeName = HostName | HardwareModule
