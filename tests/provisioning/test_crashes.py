"""A station loses its power at every step of an issuance; the same order afterwards gives exactly one identity."""

import signal
import sqlite3
import subprocess
import sys
from base64 import b64decode
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_der_private_key

from tests.provisioning.batches import arguments, batch, certificate, devices, read, write
from tests.provisioning.factory import ROOT, Factory
from tests.provisioning.requests import csr, p256

KEY_MOMENTS = ["before:key", "after:key"]
MOMENTS = [
    "before:prepare",
    "before:add:1",
    "after:add:1",
    "after:prepare",
    "before:sign",
    "after:sign",
    "before:record",
    "before:add:2",
    "after:add:2",
    "after:record",
    *(f"{when}:write:{file}" for file in (1, 2, 3) for when in ("before", "after")),
    "before:deliver",
    "before:add:3",
    "after:add:3",
    "after:deliver",
]
"""The three entries of an issuance are its intent, its certificate and its delivery."""
AFTER_PREPARING = set(MOMENTS[MOMENTS.index("after:prepare") :])


def lose_power(moment: str, order: list[str | Path]) -> None:
    died = subprocess.run(
        [sys.executable, "-m", "tests.provisioning.dying_station", moment, *map(str, order)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert died.returncode == -signal.SIGKILL, f"{moment} was never reached: {died.stderr}"
    assert died.stdout == "", "nothing was acknowledged"


def prepared_serials(factory: Factory) -> list[str]:
    if not (factory.folder / "ledger.db").exists():
        return []
    connection = sqlite3.connect(factory.folder / "ledger.db")
    rows = connection.execute("SELECT serial FROM issuance ORDER BY number").fetchall()
    (sound,) = connection.execute("PRAGMA integrity_check").fetchone()
    connection.close()
    assert sound == "ok"
    return [f"{int.from_bytes(serial):x}" for (serial,) in rows]


def assert_converges(factory: Factory, order: tuple[str | Path, ...], before: list[str]) -> None:
    """A rerun issues, once, what was prepared; another changes nothing."""
    rerun = factory.issue("device1", *order)
    assert rerun.code == 0, rerun.err
    serials = prepared_serials(factory)
    assert serials == [rerun.json["serial"]], "one issuance"
    assert before in ([], serials), "the serial that was prepared is the one that is used"
    certificate, _ = factory.chain("device1")
    assert f"{certificate.serial_number:x}" == serials[0]
    steps = [row["step"] for row in factory.ledger("show", "--device", "device1").json["steps"]]
    assert steps == ["reserved", "prepared", "signed", "delivered"]
    third = factory.issue("device1", *order)
    assert (third.code, third.out) == (0, rerun.out)
    hidden = list(factory.home.rglob(".*.tmp"))
    assert all(path.stat().st_size == 0 or b"PRIVATE" not in path.read_bytes() for path in hidden)


@pytest.mark.parametrize("moment", MOMENTS)
def test_power_lost_with_a_request_of_the_device(moment: str, factory: Factory) -> None:
    request = factory.home / "device.csr.pem"
    request.write_bytes(csr(p256()))
    lose_power(moment, factory.order("device1", "--csr", request))
    before = prepared_serials(factory)
    assert bool(before) == (moment in AFTER_PREPARING), "the intent is on the disk before anything is signed"
    assert_converges(factory, ("--csr", request), before)


@pytest.mark.parametrize("moment", [*KEY_MOMENTS, "after:prepare", "after:sign", "after:record", "after:write:1"])
def test_power_lost_with_a_key_made_at_the_factory(moment: str, factory: Factory) -> None:
    lose_power(moment, factory.order("device1", "--generate-key"))
    key = factory.device("device1") / "device.key.pem"
    kept = key.read_bytes() if key.exists() else None
    assert (kept is None) == (moment == "before:key"), "the key is on the disk before the ledger hears of it"
    assert_converges(factory, ("--generate-key",), prepared_serials(factory))
    assert kept in (None, key.read_bytes()), "a key that was made is used, not replaced"


def test_a_bundle_is_complete_wherever_its_document_stands(factory: Factory) -> None:
    request = factory.home / "device.csr.pem"
    request.write_bytes(csr(p256()))
    for moment in ("after:write:1", "after:write:2", "after:write:3"):
        lose_power(moment, factory.order("device1", "--csr", request))
        folder = factory.device("device1")
        if (folder / "bundle.json").exists():
            assert x509.load_pem_x509_certificates((folder / "device.chain.pem").read_bytes())
            assert (folder / "trust-anchors.pem").exists()
        else:
            assert moment != "after:write:3"


BATCH_MOMENTS = [
    "after:keys",
    "before:link:3",
    "before:sign:2",
    "before:link:5",
    "before:part",
    "after:part",
    "after:deliver_all",
    "after:join",
    "after:seal",
    "after:report:5",
]
"""Of a batch of three devices: three intents, three signatures, three certificates, one delivery, one seal."""


@pytest.mark.parametrize("moment", BATCH_MOMENTS)
def test_power_lost_in_a_batch(moment: str, factory: Factory) -> None:
    file, out = write(factory.home / "order.csv", devices(3)), factory.home / "out"
    lose_power(moment, arguments(factory, file, out))
    before = prepared_serials(factory)
    assert len(before) in (0, 3), "a commit is whole"
    assert not (out / "report.json").exists(), "the report is the last that is written"
    rerun = batch(factory, file, out)
    assert (rerun.code, rerun.json["issued"]) == (0, 3), rerun.err
    serials = prepared_serials(factory)
    assert before in ([], serials), "what was prepared is what is signed"
    assert [row["serial"] for row in read(out / "certificates.csv")] == serials
    keys = {row["device"]: load_der_private_key(b64decode(row["key"]), None) for row in read(out / "keys.csv")}
    assert all(
        keys[row["device"]].public_key() == certificate(row).public_key() for row in read(out / "certificates.csv")
    )
    steps = [row["step"] for row in factory.ledger("show", "--device", "device1").json["steps"]]
    assert steps == ["reserved", "prepared", "signed", "delivered"]
    assert batch(factory, file, out).out == rerun.out
