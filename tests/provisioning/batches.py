"""Files of many devices, and the command that issues them."""

import base64
import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from cryptography import x509

from tests.provisioning.factory import Factory, Finished, provisioning
from tests.provisioning.requests import csr, p256


def request() -> str:
    """A request as a table holds it: the Base64 of its DER."""
    return "".join(csr(p256()).decode().split("\n")[1:-2])


def write(path: Path, rows: Sequence[Mapping[str, str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def devices(count: int, *, begin: int = 0) -> list[dict[str, str]]:
    """Rows whose keys the factory makes."""
    return [{"device": f"device{number}"} for number in range(begin, begin + count)]


def arguments(factory: Factory, file: Path, out: Path, *more: str | Path, model: str = "fl50") -> list[str | Path]:
    return [
        *("batch", file, "--stack", "dev", "--factory", factory.folder, "--authorities", factory.authorities),
        *("--out", out, "--model", model, "--authority", "line-a", "--json", *more),
    ]


def batch(factory: Factory, file: Path, out: Path, *more: str | Path, model: str = "fl50") -> Finished:
    return provisioning(*arguments(factory, file, out, *more, model=model))


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def certificate(row: Mapping[str, str]) -> x509.Certificate:
    return x509.load_der_x509_certificate(base64.b64decode(row["certificate"]))
