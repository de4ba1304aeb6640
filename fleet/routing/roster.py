"""The fleet as planning sees it: each device, and what is known of it. Here from a CSV file."""

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from fleet.routing.csv_file import Problems, read_rows
from fleet.routing.residency import RESIDENCY_OF_COUNTRY
from protocol.device_id import DeviceId, InvalidDeviceIdError, parse_device_id

DEVICE, MODEL, COUNTRY, RESIDENCY = "device", "model", "country", "residency"
_COUNTRY_CODE = re.compile(r"[A-Z]{2}")


class RosterRow(NamedTuple):
    """One device. Texts are empty where nothing is known."""

    device: DeviceId
    line: int
    model: str
    country: str
    residency: str
    """As the file says, else as its country has it."""


def read_roster(path: Path, residencies: Collection[str], problems: Problems) -> Iterator[RosterRow]:
    """The rows of a roster file, in its order; what is wrong with the others goes to `problems`."""
    rows = read_rows(path, required=(DEVICE,), optional=(MODEL, COUNTRY, RESIDENCY), problems=problems)
    for line, (name, model, country, residency) in rows:
        try:
            device = parse_device_id(name)
        except InvalidDeviceIdError as error:
            problems.add(line, DEVICE, str(error), "correct it")
            continue
        if country and not _COUNTRY_CODE.fullmatch(country):
            problems.add(line, COUNTRY, f"{country!r} is no country code", "write it such as DE (ISO 3166-1 alpha-2)")
        if residency and residency not in residencies:
            known = ", ".join(residencies)
            problems.add(line, RESIDENCY, f"{residency!r} is no residency", f"there are {known}; or leave it empty")
        known_residency = residency or RESIDENCY_OF_COUNTRY.get(country, "")
        yield RosterRow(device, line, model, country, known_residency)
