"""Which identities are meant: those of a list, or those that an authority or a station signed. Reads only."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from protocol.device_id import DeviceId, InvalidDeviceIdError, parse_device_id
from provisioning.errors import RefusedError
from provisioning.ledger.ledger import Ledger
from provisioning.ledger.times import as_microseconds, from_microseconds

MAX_SHOWN = 20
"""Problems of a list that are told one by one; of the rest, the number."""

_ENDED = "EXISTS (SELECT 1 FROM step WHERE step.issuance = issuance.number AND step IN ('revoked', 'retired'))"
_COLUMNS = "issuance.number, device, model, authority, serial, issuance.at, not_after, fingerprint"
_FROM = "FROM issuance LEFT JOIN certificate ON certificate.issuance = issuance.number"


@dataclass(frozen=True, slots=True)
class Standing:
    """An identity that stands: prepared at least, and not ended."""

    issuance: int
    """Its number in the ledger: a device that has another identity by then is left alone."""
    device: DeviceId
    model: str
    authority: str
    serial: str
    """Lower-case hex."""
    issued_at: datetime
    not_after: datetime
    fingerprint: str
    """Empty before it was signed."""


def of_signer(ledger: Ledger, signer: str, *, since: datetime | None = None) -> Iterator[Standing]:
    """Every standing identity of an authority or a station, the oldest first; those prepared from `since` on."""
    rows = ledger.connection.execute(
        f"SELECT {_COLUMNS} {_FROM} WHERE authority = ?1 AND issuance.at >= ?2 AND NOT {_ENDED} "  # our own words
        "ORDER BY issuance.number",
        (signer, 0 if since is None else as_microseconds(since)),
    )
    return map(_standing, rows)


def ever_of(ledger: Ledger, signer: str) -> Iterator[DeviceId]:
    """Every device that ever had an identity of an authority or a station."""
    rows = ledger.connection.execute("SELECT DISTINCT device FROM issuance WHERE authority = ?", (signer,))
    return (DeviceId(device) for (device,) in rows)


def owner_of(ledger: Ledger, key_hash: str) -> DeviceId | None:
    """Whose a public key is, or was: by the SHA-256 of its SubjectPublicKeyInfo, in hexadecimal."""
    row = ledger.connection.execute(
        "SELECT device FROM issuance WHERE key_hash = ?", (bytes.fromhex(key_hash),)
    ).fetchone()
    return None if row is None else DeviceId(row[0])


def of_device(ledger: Ledger, device: DeviceId) -> Standing | None:
    """The device's standing identity; `RefusedError` for a device that was never issued."""
    row = ledger.connection.execute(
        f"SELECT {_COLUMNS}, {_ENDED} {_FROM} WHERE device = ? ORDER BY generation DESC LIMIT 1",  # our own words
        (device,),
    ).fetchone()
    if row is None:
        raise RefusedError(f"device {device} is not in this ledger; `ledger list` shows who is")
    return None if row[-1] else _standing(row[:-1])


def of_list(ledger: Ledger, path: Path) -> tuple[list[Standing], list[DeviceId]]:
    """The standing identities of the devices in a CSV file, and the devices whose identity had ended.

    The column `device` is read; other columns are for people. `RefusedError` tells every line that is wrong.
    """
    found: list[Standing] = []
    ended: list[DeviceId] = []
    problems: list[str] = []
    lines: dict[DeviceId, int] = {}
    for line, text in _devices(path):
        try:
            device = parse_device_id(text)
            if (first := lines.setdefault(device, line)) != line:
                problems.append(f"{path}:{line}: device {device} stands in line {first} already; remove one")
                continue
            standing = of_device(ledger, device)
        except (InvalidDeviceIdError, RefusedError) as error:
            problems.append(f"{path}:{line}: {error}")
            continue
        if standing is None:
            ended.append(device)
        else:
            found.append(standing)
    if problems:
        more = [f"{path}: and {len(problems) - MAX_SHOWN} lines more"] if len(problems) > MAX_SHOWN else []
        raise RefusedError("\n".join(problems[:MAX_SHOWN] + more))
    return found, ended


def _devices(path: Path) -> Iterator[tuple[int, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            if "device" not in (rows.fieldnames or ()):
                raise RefusedError(f"{path}:1: there is no column `device`; name the columns in the first line")
            for row in rows:
                yield rows.line_num, (row["device"] or "").strip()
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RefusedError(f"{path}: cannot be read ({error}); give a CSV file with the column `device`") from error


def _standing(row: tuple[Any, ...]) -> Standing:
    number, device, model, authority, serial, at, not_after, fingerprint = row
    return Standing(
        issuance=number,
        device=DeviceId(device),
        model=model,
        authority=authority,
        serial=f"{int.from_bytes(serial):x}",
        issued_at=from_microseconds(at),
        not_after=from_microseconds(not_after),
        fingerprint="" if fingerprint is None else fingerprint.hex(),
    )
