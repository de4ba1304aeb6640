"""Certificates that look as we write them are recognised by their octets: the library's names take ten times as long.

Whatever looks otherwise is asked in full (`audit.segment`).
"""

import hashlib

from protocol.device_id import DeviceId
from provisioning.outline import outline_of_certificate
from provisioning.subject import subject_of


def is_plainly_of(to_be_signed: bytes, device: str, key_hash: bytes) -> bool:
    """Whether its subject is what we write for `device`, and its key has that SHA-256; False says nothing."""
    outline = outline_of_certificate(to_be_signed)
    return (
        outline is not None
        and device.isascii()
        and outline.subject == subject_of(DeviceId(device))
        and hashlib.sha256(outline.key).digest() == key_hash
    )
