"""The subject of a device in DER: as a birth certificate has it, and as the requests of most devices do.

Names that look like these are known by their octets: building the library's names of them takes several times as long.
"""

from functools import cache

from cryptography.hazmat import asn1
from cryptography.x509.oid import NameOID

from protocol.device_id import DeviceId
from provisioning.der import SEQUENCE, element

_SET = 0x31
_UTF8_STRING, _PRINTABLE_STRING = 0x0C, 0x13
_COMMON_NAME = asn1.encode_der(NameOID.COMMON_NAME)
_SERIAL_NUMBER = asn1.encode_der(NameOID.SERIAL_NUMBER)


def subject_of(device: DeviceId) -> bytes:
    """The device id as common name and as serial number (IEEE 802.1AR, 8.6)."""
    text = device.encode("ascii")
    before, between = _around_names(len(text))
    return before + text + between + text


def common_name_of(device: DeviceId) -> bytes:
    """The device id as common name alone."""
    text = device.encode("ascii")
    return _before_common_name(len(text)) + text


@cache
def _around_names(length: int) -> tuple[bytes, bytes]:
    """What stands before and between the two names of a subject, for a device id of so many octets."""
    text = bytes(length)
    second = _relative_name(_SERIAL_NUMBER, _PRINTABLE_STRING, text)
    whole = element(SEQUENCE, _relative_name(_COMMON_NAME, _UTF8_STRING, text) + second)
    return whole[: len(whole) - len(second) - length], second[: len(second) - length]


@cache
def _before_common_name(length: int) -> bytes:
    """What stands before the name in a subject of one."""
    name = element(SEQUENCE, _relative_name(_COMMON_NAME, _UTF8_STRING, bytes(length)))
    return name[: len(name) - length]


def _relative_name(oid: bytes, tag: int, text: bytes) -> bytes:
    return element(_SET, element(SEQUENCE, oid + element(tag, text)))
