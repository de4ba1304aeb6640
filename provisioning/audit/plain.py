"""Certificates that look as we write them are recognised by their octets: the library's names take ten times as long.

The library's own reader of DER finds the octets. Whatever looks otherwise is asked in full (`audit.segment`).
"""

import hashlib
from typing import Annotated

from cryptography.hazmat import asn1

from protocol.device_id import DeviceId
from provisioning.der import SEQUENCE, element
from provisioning.subject import subject_of


@asn1.sequence
class _ToBeSigned:
    """A TBSCertificate of version 3 without unique identifiers (RFC 5280, section 4.1.2)."""

    version: Annotated[asn1.TLV, asn1.Explicit(0)]
    serial: asn1.TLV
    algorithm: asn1.TLV
    issuer: asn1.TLV
    validity: asn1.TLV
    subject: asn1.TLV
    key: asn1.TLV
    extensions: Annotated[asn1.TLV, asn1.Explicit(3)]


def is_plainly_of(to_be_signed: bytes, device: str, key_hash: bytes) -> bool:
    """Whether its subject is what we write for `device`, and its key has that SHA-256; False says nothing."""
    if not device.isascii():
        return False
    try:
        read = asn1.decode_der(_ToBeSigned, to_be_signed)
    except ValueError:
        return False
    subject = element(SEQUENCE, bytes(read.subject.data))
    key = element(SEQUENCE, bytes(read.key.data))
    is_sequence = read.subject.tag_bytes == read.key.tag_bytes == bytes((SEQUENCE,))
    return is_sequence and subject == subject_of(DeviceId(device)) and hashlib.sha256(key).digest() == key_hash
