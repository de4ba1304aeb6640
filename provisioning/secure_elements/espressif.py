"""Lists of modules that Espressif provisioned: CSV with the columns MAC, cn and cert (PEM over several lines).

The factory MAC address, burnt into the chip, names the element. Espressif signs no such list, so it is believed as far
as its certificates are: each must be of the issuer that the stack names.
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from cryptography.x509.oid import NameOID

from provisioning.errors import RefusedError
from provisioning.secure_elements.element import Defect, Element, certificate_in

COLUMNS = ("MAC", "cn", "cert")
MAX_FIELD_CHARACTERS = 16_384
"""An RSA-4096 certificate in PEM has 2,500."""

_MAC = re.compile(r"[0-9a-f]{12}")
_OF_ONE_DEVICE = "tlv_type"
"""The first column of `configure_esp_secure_cert.py`'s own CSV, which is a partition of one device, with its key."""


def read_espressif(data: bytes) -> Iterator[Element | Defect]:
    """Every row; `RefusedError` when the file is no such list."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RefusedError(f"this is no list of modules: it is no text ({error}); give the CSV file") from error
    if "PRIVATE KEY" in text:
        raise RefusedError(
            "this file holds private keys; no list of modules does. Treat those keys as lost to others, and give the "
            "list of MAC, cn and cert alone"
        )
    csv.field_size_limit(MAX_FIELD_CHARACTERS)
    rows = csv.DictReader(io.StringIO(text, newline=""))
    with _fields_in_bounds(1):
        columns = tuple(rows.fieldnames or ())
    if _OF_ONE_DEVICE in columns:
        raise RefusedError("this is the partition of one device (esp_secure_cert), no list; give Espressif's list")
    if not set(COLUMNS) <= set(columns):
        raise RefusedError(f"line 1: the columns are {', '.join(columns)}; a list of modules has {', '.join(COLUMNS)}")
    while True:
        line = rows.line_num + 1
        with _fields_in_bounds(line):
            row = next(rows, None)
        if row is None:
            return
        try:
            yield _element(f"line {line}", row)
        except ValueError as error:
            yield Defect(f"line {line}", str(error))


@contextmanager
def _fields_in_bounds(line: int) -> Iterator[None]:
    try:
        yield
    except csv.Error as error:
        raise RefusedError(f"line {line}: {error}; no field has more than {MAX_FIELD_CHARACTERS} characters") from error


def _element(place: str, row: Mapping[str, str | None]) -> Element:
    mac = (row["MAC"] or "").replace(":", "").replace("-", "").lower()
    if not _MAC.fullmatch(mac):
        raise ValueError(f"its MAC {row['MAC']!r} is not 12 hexadecimal digits; ask for a new file")
    certificate = certificate_in((row["cert"] or "").encode())
    names = [str(name.value) for name in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if names != [row["cn"]]:
        raise ValueError(f"its cn is {row['cn']!r}, and its certificate says {' and '.join(names) or 'none'}")
    return Element(place=place, serial=mac, part="", certificate=certificate)
