"""The rules that hold after every fault, each broken one in words.

It reads the files themselves: SQL for the ledger, `cryptography` for the certificates, the bundle's reader of the
device. The commands of the factory judge too (a rerun, the audit), but are not alone to do so.
"""

import base64
import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
    load_pem_private_key,
)

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
    """What must not be, after issuances of `device` and before any rerun."""
    ran = list(finished)
    ledger = rows(factory)
    broken = [rule for each in ran for rule in broken_words(each, device)]
    acknowledged = [json.loads(each.out) for each in ran if each.code == 0 and each.out]
    for answer in acknowledged:
        broken += _broken_acknowledgement(ledger, answer)
    broken += broken_ledger(ledger, now or datetime.now(UTC))
    return broken + list(leaks(factory, ran))


def unconverged(
    factory: Factory,
    order: list[str | Path],
    *,
    devices: Iterable[str],
    broken_by: Callable[[Finished], list[str]],
) -> list[str]:
    """What a rerun of the order, and one after it, leave to be wished for. `broken_by`: the rules it breaks."""
    before = rows(factory)
    rerun = provisioning(*order)
    if rerun.code:
        return [f"the rerun ends with {rerun.code}: {rerun.err}"]
    broken = broken_by(rerun)
    after = rows(factory)
    if [row.serial for row in after][: len(before)] != [row.serial for row in before]:
        broken.append("the rerun changed what stood in the ledger")
    if any(len(_of(device, after)) > max(len(_of(device, before)), 1) for device in devices):
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
    secrets = {form for key in _keys(factory) for form in _forms(key)}
    told = [("what was told", (each.out + each.err).encode()) for each in finished]
    kept = [(path.name, path.read_bytes()) for path in factory.folder.glob("*ledger.db*") if path.is_file()]
    for where, content in (*told, *kept):
        if any(secret in content for secret in (*MARKERS, *secrets)):
            yield f"a private key is in {where}"
    for path in (*factory.home.rglob("device.key.pem"), *factory.home.rglob("*keys.csv")):
        if path.stat().st_mode & 0o777 != 0o600:
            yield f"{path.name} is readable by others"


def left_behind(factory: Factory) -> list[str]:
    """Copies of keys that nobody asked for: what a write began and did not finish, and the parts of a batch."""
    unfinished = (path for path in factory.home.rglob(".*.tmp") if b"PRIVATE" in path.read_bytes())
    tables = (path for path in factory.home.rglob("*keys.csv*") if path.name != "keys.csv" and path.stat().st_size)
    return sorted(path.name for path in (*unfinished, *tables))


def broken_words(ran: Finished, *names: str) -> Iterator[str]:
    """How a command that failed must not speak; it says one of `names`."""
    if "Traceback" in ran.err + ran.out:
        yield f"a traceback: {ran.err[-2000:]}"
    elif ran.code > 0 and not any(name in ran.err for name in names):
        yield f"a failure that does not name the device: {ran.err!r}"
    if ran.code > 0 and ran.code not in (1, 2):
        yield f"an exit code that nobody documented: {ran.code}"
    if ran.code == 0 and not ran.out:
        yield "success without an answer"


def _broken_acknowledgement(ledger: list[Row], answer: dict[str, str]) -> Iterator[str]:
    """Every acknowledged identity is durable and complete."""
    row = yield from acknowledged_row(ledger, answer["fingerprint"])
    if row is not None:
        yield from broken_bundle(Path(answer["bundle"]), answer["device"], row)


def acknowledged_row(ledger: list[Row], fingerprint: str) -> Generator[str, None, Row | None]:
    """The row of an identity that somebody was told of; yields what is wrong with it."""
    row = next((row for row in ledger if row.fingerprint == fingerprint), None)
    if row is None:
        yield "acknowledged, and the certificate is not in the ledger"
    elif not row.is_delivered:
        yield "acknowledged, and the ledger does not say delivered"
    return row


def broken_bundle(folder: Path, device: str, row: Row) -> Iterator[str]:
    """What is wrong with the bundle of an acknowledged identity."""
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
    if bundle.device != device or chain[0] != row.certificate or not anchors:
        yield "the bundle is not of the identity that was acknowledged"


def broken_ledger(ledger: list[Row], now: datetime) -> Iterator[str]:
    """What no ledger may hold, whatever struck."""
    standing = Counter(row.device for row in ledger if row.certificate and not row.is_ended)
    yield from (f"{device} has {count} active certificates" for device, count in standing.items() if count > 1)
    if len({row.serial for row in ledger}) != len(ledger):
        yield "a serial number was given twice"
    for row in ledger:
        if row.certificate and row.is_delivered and not row.is_ended:
            begins, ends = row.certificate.not_valid_before_utc, row.certificate.not_valid_after_utc
            if not begins <= now <= ends:
                yield f"{row.device}: handed out at {now}, and valid from {begins} to {ends}"


def _keys(factory: Factory) -> Iterator[PrivateKeyTypes]:
    """Every device's private key below the factory, wherever a command put it."""
    for path in factory.home.rglob("device.key.pem"):
        with suppress(ValueError):
            yield load_pem_private_key(path.read_bytes(), None)
    for path in factory.home.rglob("*keys.csv"):
        for line in path.read_bytes().splitlines():
            with suppress(ValueError):
                yield load_der_private_key(base64.b64decode(line.rpartition(b",")[2]), None)


def _forms(key: PrivateKeyTypes) -> Iterator[bytes]:
    """A private number as it might be written somewhere: raw, in hex, in base64 with any neighbour."""
    assert isinstance(key, EllipticCurvePrivateKey)
    raw = key.private_numbers().private_value.to_bytes(key.key_size // 8)
    yield raw
    yield raw.hex().encode()
    yield raw.hex().upper().encode()
    yield base64.b64encode(raw)[:-4]
    der = base64.b64encode(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))
    yield der
    yield from (der[start : start + 64] for start in range(0, len(der) - 64, 64))


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
