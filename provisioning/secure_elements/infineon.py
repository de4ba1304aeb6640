"""Certificate bundles of Infineon's OPTIGA Trust M and Trust X: 7-Zip archives of certificates, one file an element.

What is delivered is an archive of archives, one for each certificate slot of the chip: `…_E0E0_Certs.7z`, and
`…_E0E1_Certs.7z`, `…_E0E2_Certs.7z` where those are ordered. Each holds one certificate in PEM or DER for every chip.
An inner archive alone is read as well. Infineon signs no bundle, so it is believed as far as its certificates are.

Trust M Express gives every chip a common name of its own. Trust M V1 and V3 and Trust X call every chip the same
("Infineon IoT Node"); there the name of the file is what tells them apart.
"""

import io
import re
from collections.abc import Iterator
from enum import StrEnum
from pathlib import PurePosixPath
from typing import cast

import py7zr
from cryptography.x509.oid import NameOID
from py7zr.io import BytesIOFactory

from provisioning.errors import RefusedError
from provisioning.secure_elements.element import Defect, Element, certificate_in

MAX_BUNDLE_BYTES = 2 << 30
"""A certificate has 500 to 1,700 bytes (a slot of the chip holds 1,728), so this is a million of them, unpacked."""
MAX_CERTIFICATE_BYTES = 16_384

_SERIAL = re.compile(r"[0-9a-z]([0-9a-z-]*[0-9a-z])?")


class Slot(StrEnum):
    """Where in the chip the certificate is."""

    E0E0 = "E0E0"
    """Written by Infineon; the others are the customer's."""
    E0E1 = "E0E1"
    E0E2 = "E0E2"


class SerialFrom(StrEnum):
    """What names an element."""

    COMMON_NAME = "common-name"
    FILE_NAME = "file-name"


def read_infineon(data: bytes, slot: Slot, serial_from: SerialFrom) -> Iterator[Element | Defect]:
    """Every certificate of the slot's archive; `RefusedError` when the bundle has none."""
    outer = _unpacked(data)
    wanted = f"_{slot}_Certs.7z".lower()
    archives = [name for name in outer if name.lower().endswith(".7z")]
    chosen = [name for name in archives if name.lower().endswith(wanted)]
    if archives and len(chosen) != 1:
        raise RefusedError(
            f"this bundle has {len(chosen)} archives of slot {slot}; it has {', '.join(archives)}: give --slot, or the "
            f"inner archive alone"
        )
    files = _unpacked(outer[chosen[0]]) if chosen else outer
    if not files:
        raise RefusedError("this bundle is empty; give the archive as downloaded")
    for name in sorted(files):
        try:
            yield _element(name, files[name], serial_from)
        except ValueError as error:
            yield Defect(name, str(error))


def _unpacked(data: bytes) -> dict[str, bytes]:
    """Every file of an archive, in memory: nothing of a stranger's archive is written anywhere."""
    try:
        with py7zr.SevenZipFile(io.BytesIO(data)) as archive:
            _check_archive(archive)
            factory = BytesIOFactory(MAX_BUNDLE_BYTES)
            archive.extractall(factory=factory)
    except RefusedError:
        raise
    except Exception as error:  # py7zr meets damage with the errors of each of its decoders
        raise RefusedError(
            f"this is no 7-Zip archive ({type(error).__name__}); give the bundle as downloaded"
        ) from error
    return {name: cast("io.BytesIO", stream).read() for name, stream in factory.products.items()}


def _check_archive(archive: py7zr.SevenZipFile) -> None:
    if archive.needs_password():
        raise RefusedError("this archive has a password; unpack it with what Infineon gave you, and pack it anew")
    size = sum(each.uncompressed for each in archive.list())
    if size > MAX_BUNDLE_BYTES:
        raise RefusedError(f"this archive unpacks to {size} bytes, and no bundle has more than {MAX_BUNDLE_BYTES}")


def _element(name: str, data: bytes, serial_from: SerialFrom) -> Element:
    if len(data) > MAX_CERTIFICATE_BYTES:
        raise ValueError(f"it has {len(data)} bytes, and no certificate has more than {MAX_CERTIFICATE_BYTES}")
    certificate = certificate_in(data)
    if serial_from is SerialFrom.FILE_NAME:
        serial = PurePosixPath(name).stem
    else:
        names = [str(each.value) for each in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        if len(names) != 1:
            raise ValueError(f"its certificate has {len(names)} common names; say --serial-from file-name")
        serial = names[0]
    serial = serial.lower()
    if not _SERIAL.fullmatch(serial):
        raise ValueError(
            f"{serial_from} {serial!r} is no serial number, which has letters, digits and hyphens; say --serial-from "
            f"{next(other for other in SerialFrom if other is not serial_from)}"
        )
    return Element(place=name, serial=serial, part="", certificate=certificate)
