"""The rules that hold after every fault that struck a batch, each broken one in words."""

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_public_key

from tests.faults.judge import (
    Row,
    acknowledged_row,
    broken_bundle,
    broken_ledger,
    broken_words,
    leaks,
    rows,
)
from tests.provisioning.batches import read
from tests.provisioning.factory import Factory, Finished


@dataclass(frozen=True, kw_only=True)
class Ordered:
    """What a batch is of."""

    table: str
    out: str
    """Its folder below the factory's home."""
    devices: tuple[str, ...]
    keys_made: tuple[str, ...]
    """Devices whose keys are in the table of keys."""
    has_bundles: bool


def broken_batch(
    factory: Factory, finished: Iterable[Finished], ordered: Ordered, *, now: datetime | None = None
) -> list[str]:
    """What must not be, after runs of a batch and before any rerun."""
    ran, ledger = list(finished), rows(factory)
    broken = [rule for each in ran for rule in broken_words(each, *ordered.devices, ordered.table)]
    if any(each.code == 0 and each.out for each in ran):
        broken += _broken_report(factory.home / ordered.out, ordered, ledger)
    return broken + list(broken_ledger(ledger, now or datetime.now(UTC))) + list(leaks(factory, ran))


def _broken_report(folder: Path, ordered: Ordered, ledger: list[Row]) -> Iterator[str]:
    """What is wrong with the folder of a batch that was acknowledged."""
    try:
        document = (folder / "report.json").read_bytes()
        report, public = json.loads(document), load_pem_public_key((folder / "station.pub.pem").read_bytes())
        assert isinstance(public, ec.EllipticCurvePublicKey)
        public.verify((folder / "report.json.sig").read_bytes(), document, ec.ECDSA(hashes.SHA256()))
        digests = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in report["files"]}
        certificates = read(folder / "certificates.csv")
        table = read(folder / "keys.csv") if ordered.keys_made else []
        keys = {row["device"]: load_der_private_key(base64.b64decode(row["key"]), None) for row in table}
    except (OSError, ValueError, InvalidSignature) as error:
        yield f"acknowledged, and the report is not whole: {error!r}"
        return
    if digests != report["files"] or report["issued"] != len(ordered.devices):
        yield "the report tells of other files, or of other devices"
    if tuple(each["device"] for each in certificates) != ordered.devices:
        yield "the certificates are not those of the order"
    if tuple(keys) != ordered.keys_made:
        yield "the table of keys holds others than those that were made"
    for each in certificates:
        row = yield from acknowledged_row(ledger, each["fingerprint"])
        certificate = x509.load_der_x509_certificate(base64.b64decode(each["certificate"]))
        if row is None or row.certificate != certificate or row.device != each["device"]:
            yield "the table of certificates and the ledger differ"
        elif row.device in keys and keys[row.device].public_key() != certificate.public_key():
            yield "a key in the table is not the certificate's"
        elif ordered.has_bundles:
            yield from broken_bundle(folder / "devices" / row.device, row.device, row)
