"""A row as an order with its request, or why it is none."""

import os
import stat
import string
from dataclasses import dataclass
from pathlib import Path

from provisioning.bulk.table import AUTHORITY, CSR, CSR_FILE, DEVICE, MODEL, Row
from provisioning.errors import RefusedError
from provisioning.order import Order
from provisioning.request import MAX_CSR_BYTES
from provisioning.station import Station

_BASE64 = frozenset(string.ascii_letters + string.digits + "+/=")
_COLUMN_OF = {"--device": DEVICE, "--model": MODEL, "--authority": AUTHORITY, "--generate-key": CSR}
"""Which column says what an option of `issue` says."""


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds for rows that say nothing else."""

    model: str | None
    authority: str | None


@dataclass(frozen=True, slots=True)
class Asked:
    """A row that is in order."""

    row: Row
    order: Order
    csr: bytes | None
    """None where the factory makes the key."""


class RowError(Exception):
    """Why a row is refused, and by which column."""

    def __init__(self, column: str, text: str) -> None:
        super().__init__(column, text)
        self.column = column
        self.text = text


def asked(row: Row, defaults: Defaults, station: Station, folder: Path) -> Asked:
    """What a row asks for; paths in it are from `folder`. `RowError` names the column, the rule and the way out."""
    model = row.values.get(MODEL) or defaults.model
    authority = row.values.get(AUTHORITY) or defaults.authority
    for column, value in ((MODEL, model), (AUTHORITY, authority)):
        if not value:
            raise RowError(column, f"no {column}; fill the column in, or give --{column} for all rows")
    csr = _csr(row, folder)
    try:
        order = station.order(
            device=row.values.get(DEVICE, ""),
            model=model or "",
            authority=authority or "",
            is_key_generated=csr is None,
        )
    except RefusedError as error:
        option, _, text = str(error).partition(": ")
        raise RowError(_COLUMN_OF.get(option, ""), text) from error
    return Asked(row, order, csr)


def check(row: Row, defaults: Defaults, station: Station, folder: Path) -> bytes | None:
    """The key of a row in DER, None where the factory makes it; `RowError` says what is wrong.

    Everything is asked but the request's proof of possession.
    """
    found = asked(row, defaults, station, folder)
    if found.csr is None:
        return None
    try:
        return station.check_form(found.order, found.csr)
    except RefusedError as error:
        raise RowError(request_column(row), str(error)) from error


def request_column(row: Row) -> str:
    """Where a row has its request."""
    return CSR_FILE if row.values.get(CSR_FILE) else CSR


def _csr(row: Row, folder: Path) -> bytes | None:
    text, file = row.values.get(CSR, "").strip(), row.values.get(CSR_FILE, "").strip()
    if text and file:
        raise RowError(CSR, f"a request and a file of one, {file}; give one of the two")
    if file:
        return _read(folder / file, file)
    if not text:
        return None
    if text.startswith("-----"):
        return text.encode()
    if not _BASE64.issuperset(text):
        raise RowError(CSR, "is neither PEM nor Base64 in one line; write the request as one of the two")
    return f"-----BEGIN CERTIFICATE REQUEST-----\n{text}\n-----END CERTIFICATE REQUEST-----\n".encode()


def _read(path: Path, named: str) -> bytes:
    """A request's file. What is no plain file is not waited for: a pipe might never say anything."""
    try:
        with open(path, "rb", opener=_at_once) as opened:  # Path.open takes no opener
            if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
                raise RowError(CSR_FILE, f"{named} is no file; give the device's request")
            return opened.read(MAX_CSR_BYTES + 1)
    except (OSError, ValueError) as error:  # a name with a NUL is no name to the system
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise RowError(CSR_FILE, f"{named} cannot be read ({why}); give the device's request") from error


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)
