"""The rules that hold after every fault, each broken one in words.

It reads the files themselves: SQL for the ledger, `cryptography` for the certificates, the bundle's reader of the
device. The commands of the factory judge too (a rerun, the audit), but are not alone to do so.
"""

import base64
import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from protocol.bundle import read_bundle
from provisioning.der import sequence
from tests.provisioning.factory import Factory, Finished, provisioning

MARKERS = (b"PRIVATE KEY", b"ENCRYPTED")


@dataclass(frozen=True)
class Row:
    """What the ledger's tables hold of one issuance."""

    device: str
    serial: str
    certificate: x509.Certificate | None
    is_delivered: bool
    is_ended: bool

    @property
    def fingerprint(self) -> str:
        return self.certificate.fingerprint(hashes.SHA256()).hex() if self.certificate else ""


def rows(factory: Factory) -> list[Row]:
    """Every issuance, in order; none where there is no ledger yet."""
    path = factory.folder / "ledger.db"
    if not path.exists():
        return []
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        found = connection.execute(
            "SELECT device, hex(serial), to_be_signed, tail, "
            "EXISTS (SELECT 1 FROM step WHERE step = 'delivered' AND issuance.number BETWEEN issuance AND through), "
            "EXISTS (SELECT 1 FROM step WHERE step IN ('revoked', 'retired') AND issuance = issuance.number) "
            "FROM issuance LEFT JOIN certificate ON certificate.issuance = issuance.number ORDER BY issuance.number"
        ).fetchall()
    return [
        Row(
            device,
            serial,
            None if tail is None else x509.load_der_x509_certificate(sequence(body, tail)),
            bool(is_delivered),
            bool(is_ended),
        )
        for device, serial, body, tail, is_delivered, is_ended in found
    ]


def broken_rules(
    factory: Factory, finished: Iterable[Finished], *, device: str, now: datetime | None = None
) -> list[str]:
    """What must not be, after commands about `device` and before any rerun."""
    ran = list(finished)
    ledger = rows(factory)
    broken = [rule for each in ran for rule in _broken_words(each, device)]
    acknowledged = [json.loads(each.out) for each in ran if each.code == 0 and each.out]
    for answer in acknowledged:
        broken += _broken_acknowledgement(factory, ledger, answer)
    broken += _broken_ledger(ledger, now or datetime.now(UTC))
    return broken + list(leaks(factory, ran))


def unconverged(factory: Factory, order: list[str | Path], *, device: str) -> list[str]:
    """What a rerun of the order, and one after it, leave to be wished for."""
    before = rows(factory)
    rerun = provisioning(*order)
    if rerun.code:
        return [f"the rerun ends with {rerun.code}: {rerun.err}"]
    broken = broken_rules(factory, [rerun], device=device)
    after = rows(factory)
    if [row.serial for row in after][: len(before)] != [row.serial for row in before]:
        broken.append("the rerun changed what stood in the ledger")
    if len(_of(device, after)) > max(len(_of(device, before)), 1):
        broken.append("the rerun drew a new serial although one was prepared")
    content = _content(factory)
    third = provisioning(*order)
    if (third.code, third.out, third.err) != (0, rerun.out, rerun.err):
        broken.append("a third run answers otherwise")
    if _content(factory) != content:
        broken.append("a third run changes a file")
    return broken + audited(factory)


def audited(factory: Factory) -> list[str]:
    """What the factory's own audit finds."""
    audit = provisioning(
        *("audit", "--stack", "dev", "--factory", factory.folder, "--authorities", factory.authorities, "--json")
    )
    return [] if audit.code == 0 else [f"the audit ends with {audit.code}: {audit.out}{audit.err}"]


def leaks(factory: Factory, finished: Iterable[Finished]) -> Iterator[str]:
    """Private keys where none may be: in the ledger's files, in what was told, or in what a write left behind."""
    secrets = {form for path in factory.home.rglob("device.key.pem") for form in _forms(path) if path.stat().st_size}
    told = [("what was told", (each.out + each.err).encode()) for each in finished]
    kept = [(path.name, path.read_bytes()) for path in factory.folder.glob("*ledger.db*") if path.is_file()]
    for where, content in (*told, *kept):
        if any(secret in content for secret in (*MARKERS, *secrets)):
            yield f"a private key is in {where}"
    for path in factory.home.rglob("device.key.pem"):
        if path.stat().st_mode & 0o777 != 0o600:
            yield f"{path.name} is readable by others"


def left_behind(factory: Factory) -> list[str]:
    """Files that a write began and did not finish; those with a key in them are the ones that matter."""
    return sorted(path.name for path in factory.home.rglob(".*.tmp") if b"PRIVATE" in path.read_bytes())


def _broken_words(ran: Finished, device: str) -> Iterator[str]:
    if "Traceback" in ran.err + ran.out:
        yield f"a traceback: {ran.err[-2000:]}"
    elif ran.code > 0 and device not in ran.err:
        yield f"a failure that does not name the device: {ran.err!r}"
    if ran.code > 0 and ran.code not in (1, 2):
        yield f"an exit code that nobody documented: {ran.code}"
    if ran.code == 0 and not ran.out:
        yield "success without an answer"


def _broken_acknowledgement(factory: Factory, ledger: list[Row], answer: dict[str, str]) -> Iterator[str]:
    """Every acknowledged identity is durable and complete."""
    row = next((row for row in ledger if row.fingerprint == answer["fingerprint"]), None)
    if row is None:
        yield "acknowledged, and the certificate is not in the ledger"
        return
    if not row.is_delivered:
        yield "acknowledged, and the ledger does not say delivered"
    folder = Path(answer["bundle"])
    try:
        bundle = read_bundle(folder)
        chain = x509.load_pem_x509_certificates((folder / "device.chain.pem").read_bytes())
        anchors = (folder / "trust-anchors.pem").read_text().count("END CERTIFICATE")
        key = folder / "device.key.pem"
        if key.exists():
            private = load_pem_private_key(key.read_bytes(), None)
            if private.public_key() != chain[0].public_key():
                yield "the key in the bundle is not the certificate's"
    except (OSError, ValueError) as error:
        yield f"acknowledged, and the bundle is not whole: {error!r}"
        return
    if bundle.device != answer["device"] or chain[0] != row.certificate or not anchors:
        yield "the bundle is not of the identity that was acknowledged"


def _broken_ledger(ledger: list[Row], now: datetime) -> Iterator[str]:
    standing = Counter(row.device for row in ledger if row.certificate and not row.is_ended)
    yield from (f"{device} has {count} active certificates" for device, count in standing.items() if count > 1)
    if len({row.serial for row in ledger}) != len(ledger):
        yield "a serial number was given twice"
    for row in ledger:
        if row.certificate and row.is_delivered and not row.is_ended:
            begins, ends = row.certificate.not_valid_before_utc, row.certificate.not_valid_after_utc
            if not begins <= now <= ends:
                yield f"{row.device}: handed out at {now}, and valid from {begins} to {ends}"


def _forms(path: Path) -> Iterator[bytes]:
    """A private number as it might be written somewhere: raw, in hex, in base64 with any neighbour."""
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except ValueError:
        return
    if isinstance(key, EllipticCurvePrivateKey):
        raw = key.private_numbers().private_value.to_bytes(key.key_size // 8)
        yield raw
        yield raw.hex().encode()
        yield raw.hex().upper().encode()
        yield base64.b64encode(raw)[:-4]
    yield b"".join(path.read_bytes().splitlines()[1:-1])


def _of(device: str, ledger: list[Row]) -> list[Row]:
    return [row for row in ledger if row.device == device]


def _content(factory: Factory) -> dict[str, bytes]:
    """Every file, and of the ledger what it says: SQLite counts how often its file was opened for writing."""
    files = {
        str(path.relative_to(factory.home)): path.read_bytes()
        for path in factory.home.rglob("*")
        if path.is_file() and not path.name.startswith("ledger.db")
    }
    with closing(sqlite3.connect(factory.folder / "ledger.db")) as connection:
        return files | {"ledger.db": "\n".join(connection.iterdump()).encode()}
