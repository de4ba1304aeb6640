"""A batch: checked whole, issued, killed and resumed, its failed rows given back, its report signed."""

import base64
import contextlib
import json
import os
import signal
import stat
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import load_der_private_key

from protocol.bundle import read_bundle
from provisioning.bulk import batch as bulk_batch
from provisioning.bulk import table
from provisioning.bulk.folder import Folder
from provisioning.bulk.table import scan
from provisioning.commands import batch as batch_command
from provisioning.errors import RefusedError, StationError
from provisioning.ledger.ledger import Ledger
from provisioning.passphrase import KEYS_PASSPHRASE_VARIABLE
from tests.provisioning.batches import arguments, batch, certificate, devices, read, request, write
from tests.provisioning.factory import ROOT, Factory, Finished, provisioning
from tests.provisioning.requests import csr, name, p256, rsa_key

ROWS = 3_000
"""More than one process does alone, in three parts."""


def audited(factory: Factory) -> dict[str, object]:
    told = provisioning(
        *("audit", "--stack", "dev", "--factory", factory.folder, "--authorities", factory.authorities),
        *("--station", factory.folder / "station.pub.pem", "--deep", "--json"),
    )
    assert told.code == 0, told.out
    found: dict[str, object] = told.json
    return found


def test_every_row_becomes_a_certificate_and_its_report_is_signed_by_the_station(factory: Factory) -> None:
    rows = [{"device": f"device{number}", "csr": request()} for number in range(3)]
    out = factory.home / "out"
    done = batch(factory, write(factory.home / "order.csv", rows), out, model="fl100")
    assert (done.code, done.json["issued"], done.json["failed"]) == (0, 3, 0), done.err
    results = read(out / "certificates.csv")
    assert [row["device"] for row in results] == ["device0", "device1", "device2"]
    for row in results:
        assert certificate(row).fingerprint(hashes.SHA256()).hex() == row["fingerprint"]
    assert sorted(path.name for path in out.iterdir()) == [
        "batch.json",
        "certificates.csv",
        "line-a.issuers.pem",
        "report.json",
        "report.json.sig",
        "station.pub.pem",
        "trust-anchors.pem",
    ]
    verify = ["openssl", "dgst", "-sha256", "-verify", "station.pub.pem", "-signature", "report.json.sig"]
    subprocess.run([*verify, "report.json"], cwd=out, check=True, capture_output=True)
    audit = audited(factory)
    assert (audit["identities"], audit["unsealed_entries"]) == (3, 0), "the ledger is sealed at the end of the batch"


def test_the_same_command_again_tells_the_same_and_changes_nothing(factory: Factory) -> None:
    file, out = write(factory.home / "order.csv", devices(3)), factory.home / "out"
    first = batch(factory, file, out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    again = batch(factory, file, out)
    assert (again.code, again.out) == (0, first.out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    elsewhere = batch(factory, write(factory.home / "csr.csv", [{"device": "d", "csr": request()}]), out, model="fl100")
    assert elsewhere.code == 2
    assert "belongs to another batch, of order.csv with 3 rows" in elsewhere.err


def test_a_folder_with_files_of_somebody_else_stays_as_it_is(factory: Factory) -> None:
    file, out = write(factory.home / "order.csv", devices(1)), factory.home / "out"
    out.mkdir()
    (out / "keys.csv").write_text("precious\n", encoding="utf-8")
    refused = batch(factory, file, out)
    assert refused.code == 2
    assert f"{out}: holds keys.csv and is the folder of no batch; give --out" in refused.err
    assert [(path.name, path.read_text()) for path in out.iterdir()] == [("keys.csv", "precious\n")]
    assert not (factory.folder / "ledger.db").exists(), "nothing was issued"
    (out / "keys.csv").rename(out / f".batch.json.{'0' * 16}.tmp")
    assert batch(factory, file, out).code == 0, "a run that was killed as it began left no more than that"


def test_keys_made_for_a_batch_are_their_owners_alone_and_fit(factory: Factory) -> None:
    out = factory.home / "out"
    assert batch(factory, write(factory.home / "order.csv", devices(3)), out).code == 0
    assert stat.S_IMODE((out / "keys.csv").stat().st_mode) == 0o600
    keys = {row["device"]: row["key"] for row in read(out / "keys.csv")}
    for row in read(out / "certificates.csv"):
        key = load_der_private_key(base64.b64decode(keys[row["device"]]), None)
        assert key.public_key() == certificate(row).public_key()
    secrets = [base64.b64decode(key) for key in keys.values()]
    for path in factory.folder.glob("ledger.db*"):
        assert not any(secret[36:68] in path.read_bytes() for secret in secrets), "no private key is in the ledger"


PHRASE = "correct horse battery staple"


def with_passphrase(factory: Factory, file: Path, *more: str, phrase: str = PHRASE) -> Finished:
    words = arguments(factory, file, factory.home / "out", "--encrypt-keys", *more)
    return provisioning(*words, variables={KEYS_PASSPHRASE_VARIABLE: phrase})


def test_without_a_terminal_nobody_is_asked_for_a_passphrase(factory: Factory) -> None:
    words = arguments(factory, write(factory.home / "order.csv", devices(1)), factory.home / "out", "--encrypt-keys")
    refused = provisioning(*words)
    assert (refused.code, refused.out) == (2, "")
    assert f"no terminal to type it at; set {KEYS_PASSPHRASE_VARIABLE}" in " ".join(refused.err.split())
    assert not (factory.home / "out").exists()


def test_keys_of_a_batch_may_be_kept_under_a_passphrase(factory: Factory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "PART_ROWS", 2)
    file, out = write(factory.home / "order.csv", devices(5)), factory.home / "out"
    with monkeypatch.context() as broken:
        broken.setattr(batch_command, "finish", stopped)
        assert with_passphrase(factory, file).code == 1
    other = with_passphrase(factory, file, phrase="another passphrase of 15")
    assert (other.code, "began with another passphrase for its keys; give that one" in other.err) == (2, True)
    done = with_passphrase(factory, file)
    assert (done.code, done.json["keys"]) == (0, "encrypted"), done.err
    certificates = {row["device"]: certificate(row) for row in read(out / "certificates.csv")}
    keys = {row["device"]: base64.b64decode(row["key"]) for row in read(out / "keys.csv")}
    assert (len(keys), set(keys)) == (5, set(certificates))
    for device, der in keys.items():
        with pytest.raises(TypeError, match="encrypted"):
            load_der_private_key(der, None)
        assert load_der_private_key(der, PHRASE.encode()).public_key() == certificates[device].public_key()
    for path in (path for path in factory.home.rglob("*") if path.is_file()):
        assert PHRASE.encode() not in path.read_bytes(), path
    one = ["openssl", "pkey", "-inform", "DER", "-passin", f"pass:{PHRASE}", "-noout", "-check"]
    subprocess.run(one, input=keys["device0"], check=True, capture_output=True)
    plain = batch(factory, file, out)
    assert (plain.code, "belongs to another batch" in plain.err) == (2, True), "the same rows, kept otherwise"


def stopped(*_args: object, **_more: object) -> None:
    raise StationError("stopped for a test")


def test_a_short_passphrase_and_a_bundle_that_nobody_could_open_are_refused(factory: Factory) -> None:
    file = write(factory.home / "order.csv", devices(1))
    short = with_passphrase(factory, file, phrase="short")
    assert (short.code, "the keys' passphrase has 5 characters; use at least 15, in FLOTILLA_KEYS" in short.err) == (
        2,
        True,
    )
    bundles = with_passphrase(factory, file, "--bundles")
    assert (bundles.code, "which reads it unattended; drop one of the two" in bundles.err) == (2, True)
    assert not (factory.home / "out").exists()


def test_with_bundles_each_device_has_its_folder_as_from_issue(factory: Factory) -> None:
    out = factory.home / "out"
    assert batch(factory, write(factory.home / "order.csv", devices(2)), out, "--bundles").code == 0
    assert not (out / "keys.csv").exists(), "a key is in one place"
    again = factory.issue("device1", "--generate-key", "--out", out / "devices" / "device1")
    assert again.code == 0, again.err
    (row,) = (row for row in read(out / "certificates.csv") if row["device"] == "device1")
    assert again.json["fingerprint"] == row["fingerprint"]
    place = read_bundle(out / "devices" / "device1").reconnect_place
    assert place == float(row["reconnect_place"]), "for whoever writes the bundle from the table"


BAD_ROWS = [
    ({"device": "Device1"}, "order.csv:3: device: device id 'Device1' has capitals"),
    ({"device": ""}, "order.csv:3: device: a device id is empty"),
    ({"device": "first"}, "order.csv:3: device: device first is in line 2 already; keep one of the two"),
    ({"device": "d", "model": "fl999"}, "order.csv:3: model: factory dev makes no model 'fl999'"),
    ({"device": "d", "authority": "line-z"}, "order.csv:3: authority: factory dev has no authority 'line-z'"),
    ({"device": "d", "model": "fl100"}, "order.csv:3: csr: a fl100 makes its key itself and never shows it"),
    ({"device": "d", "csr": "no request"}, "order.csv:3: csr: is neither PEM nor Base64 in one line"),
    ({"device": "d", "csr": "bm90aGluZw=="}, "order.csv:3: csr: the request is no certificate request in PEM"),
    ({"device": "d", "csr_file": "none.pem"}, "order.csv:3: csr_file: none.pem cannot be read (No such file"),
    ({"device": "d", "csr_file": "a\0b.pem"}, "order.csv:3: csr_file: a\0b.pem cannot be read (embedded null byte)"),
    ({"device": "d", "csr_file": "pipe.pem"}, "order.csv:3: csr_file: pipe.pem is no file; give the device's request"),
    ({"device": "d", "csr": "AAAA", "csr_file": "x"}, "order.csv:3: csr: a request and a file of one, x"),
]


@pytest.mark.parametrize(("row", "said"), BAD_ROWS)
def test_a_bad_row_is_told_by_line_and_column_and_nothing_is_issued(
    row: dict[str, str], said: str, factory: Factory
) -> None:
    os.mkfifo(factory.home / "pipe.pem")
    columns = dict.fromkeys(("device", "model", "authority", "csr", "csr_file"), "")
    file = write(factory.home / "order.csv", [{**columns, "device": "first"}, {**columns, **row}])
    refused = batch(factory, file, factory.home / "out")
    assert (refused.code, refused.out) == (2, "")
    assert said in refused.err
    assert "1 rows must change first, and nothing was issued" in refused.err
    assert not (factory.home / "out").exists()
    assert not (factory.folder / "ledger.db").exists()


def test_requests_of_another_key_type_and_for_another_device_are_told_too(factory: Factory) -> None:
    (factory.home / "rsa.pem").write_bytes(csr(rsa_key(2048)))
    (factory.home / "named.pem").write_bytes(csr(p256(), name(COMMON_NAME="another")))
    rows = [
        {"device": "d1", "csr": "", "csr_file": "rsa.pem"},
        {"device": "d2", "csr": "", "csr_file": "named.pem"},
        {"device": "d3", "csr": request(), "csr_file": ""},
    ]
    refused = batch(factory, write(factory.home / "order.csv", rows), factory.home / "out", model="fl100")
    assert "order.csv:2: csr_file: the request's key is an RSA key of 2048 bits" in refused.err
    assert "order.csv:3: csr_file: the request's common name is 'another', the device is 'd2'" in refused.err
    assert "2 rows must change first" in refused.err


def test_one_key_for_two_devices_is_seen_before_the_first_is_issued(
    factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "PART_ROWS", 2)
    key = p256()
    (factory.home / "one.pem").write_bytes(csr(key))
    again = "".join(csr(key, name(COMMON_NAME="d4")).decode().split("\n")[1:-2])
    rows = [
        {"device": "d1", "csr": "", "csr_file": "one.pem"},
        {"device": "d2", "csr": request(), "csr_file": ""},
        {"device": "d3", "csr": "", "csr_file": "one.pem"},
        {"device": "d4", "csr": again, "csr_file": ""},
    ]
    refused = batch(factory, write(factory.home / "order.csv", rows), factory.home / "out", model="fl100")
    assert (refused.code, refused.out) == (2, "")
    for place in ("4: csr_file", "5: csr"):
        said = f"order.csv:{place}: its key is that of line 2 already, and one key is one device; make a new one"
        assert said in refused.err
    assert "order.csv: 2 rows must change first, and nothing was issued\n" in refused.err
    assert not (factory.folder / "ledger.db").exists()


def test_everything_that_is_wrong_is_told_at_once_and_counted_by_row(
    factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "PART_ROWS", 2)
    file = factory.home / "order.csv"
    lines = ["device,model", "d1,fl50", "d2", "d1,fl999", "D3,fl50", "", "d4,fl50,more", "d5,fl50"]
    file.write_text("\n".join(lines), encoding="utf-8")
    refused = batch(factory, file, factory.home / "out")
    told = [line.partition("order.csv:")[2] for line in refused.err.splitlines()]
    begin = (
        "3: has 1 fields, and the header has 2",
        "4: device: device d1 is in line 2 already",
        "4: model: factory dev makes no model 'fl999'",
        "5: device: device id 'D3' has capitals",
        "7: has 3 fields, and the header has 2",
        " 4 rows must change first, and nothing was issued",
    )
    assert [line[: len(said)] for line, said in zip(told, begin, strict=True)] == list(begin)


def test_of_very_many_problems_the_first_are_told_and_all_are_counted(factory: Factory) -> None:
    rows = [{"device": f"device{number % 150}", "authority": "line-z"} for number in range(300)]
    refused = batch(factory, write(factory.home / "order.csv", rows), factory.home / "out", "--check")
    told = refused.err.splitlines()
    assert told[-1].endswith("300 rows must change first, and nothing was issued; these are the first 100 problems")
    assert [line.split(":")[2] for line in told[:-1]] == [f"{line}" for line in range(2, 102)]


def test_a_folder_that_is_a_file_is_refused_before_anything_else(factory: Factory) -> None:
    taken = factory.home / "taken"
    taken.touch()
    for out in (taken, taken / "below"):
        refused = batch(factory, write(factory.home / "order.csv", devices(1)), out)
        assert (refused.code, f"--out: {taken} is a file; give the batch a folder of its own" in refused.err) == (
            2,
            True,
        )


BAD_FILES = [
    (b"model\nfl50\n", "order.csv:1: has no column 'device'"),
    (b"device,colour\nd,red\n", "order.csv:1: column 'colour' means nothing here"),
    (b"device,device\nd,d\n", "order.csv:1: column 'device' is there twice"),
    (b"device\n", "order.csv: has no rows; a batch has 1 to 1,000,000"),
    (b"", "order.csv:1: has no column 'device'"),
    (b"device,model\nd1,fl50\nd2\n", "order.csv:3: has 1 fields, and the header has 2"),
    (b'device\n"d1\n', "order.csv:2: is no CSV (unexpected end of data)"),
    (b"device\nd1\n\xff\n", "order.csv:3: is not UTF-8"),
]


@pytest.mark.parametrize(("data", "said"), BAD_FILES)
def test_a_bad_file_is_told_by_its_line(data: bytes, said: str, factory: Factory) -> None:
    (factory.home / "order.csv").write_bytes(data)
    refused = batch(factory, factory.home / "order.csv", factory.home / "out")
    assert refused.code == 2
    assert said in refused.err
    assert not (factory.folder / "ledger.db").exists()


def test_lines_are_those_of_the_file_across_parts_blank_lines_and_fields_of_several(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "PART_ROWS", 2)
    file = tmp_path / "order.csv"
    file.write_bytes(b'\xef\xbb\xbf"device","csr"\r\nd1,"a\nb"\r\n\r\nd2,\r\nd3,x\r\nd4,"c\nd"\r\nd5,\r\n')
    found, problems = scan(file)
    assert not problems
    assert [part.rows for part in found.parts] == [2, 2, 1]
    rows = [row for part in found.parts for row in found.rows_of(part)]
    assert [(row.line, row.values["device"]) for row in rows] == [(2, "d1"), (5, "d2"), (6, "d3"), (7, "d4"), (9, "d5")]
    assert rows[3].values["csr"] == "c\nd"


def test_a_batch_has_a_most_of_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "MAX_ROWS", 2)
    file = write(tmp_path / "order.csv", devices(3))
    with pytest.raises(RefusedError, match="has more than 2 rows; give several files"):
        scan(file)


def test_a_file_with_another_authority_in_each_row_is_not_kept_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "MAX_AUTHORITIES", 2)
    rows = [{"device": f"device{number}", "authority": f"line-{number}"} for number in (0, 1, 2)]
    with pytest.raises(RefusedError, match=r"order\.csv:4: names one authority more than the 2 that a batch may have"):
        scan(write(tmp_path / "order.csv", rows))
    found, problems = scan(write(tmp_path / "order.csv", rows[:2]))
    assert (sorted(found.authorities), problems.rows) == (["line-0", "line-1"], 0)


def test_a_file_that_is_only_checked_makes_nothing(factory: Factory) -> None:
    told = batch(factory, write(factory.home / "order.csv", devices(3)), factory.home / "out", "--check")
    assert (told.code, told.json["rows"], told.json["problems"]) == (0, 3, 0)
    assert not (factory.home / "out").exists()
    assert not (factory.folder / "ledger.db").exists()


def test_rows_that_fail_come_back_ready_to_be_mended_and_sent_again(factory: Factory) -> None:
    assert factory.issue("device1").code == 0
    forged = csr(p256())
    rows = [{"device": f"device{number}", "csr": request(), "reason": "old"} for number in range(4)]
    broken = bytearray(base64.b64decode(request()))
    broken[-1] ^= 1
    rows[2]["csr"] = base64.b64encode(broken).decode()
    out = factory.home / "out"
    done = batch(factory, write(factory.home / "order.csv", rows), out, model="fl100")
    assert (done.code, done.json["issued"], done.json["failed"]) == (2, 2, 2)
    assert f"2 rows came back, with their reasons, in {out / 'failed.csv'}" in done.err
    failed = read(out / "failed.csv")
    assert [list(row) for row in failed] == [["device", "csr", "reason"]] * 2
    assert failed[0]["csr"] == rows[1]["csr"]
    assert "device device1 has an identity with another key" in failed[0]["reason"]
    assert "the request's signature does not fit its key" in failed[1]["reason"]
    assert factory.revoke("device1", reason="superseded").code == 0
    failed[1]["csr"] = forged.decode()
    mended = batch(factory, write(factory.home / "mended.csv", failed), factory.home / "again", model="fl100")
    assert (mended.code, mended.json["issued"], mended.json["failed"]) == (0, 2, 0), mended.err


def test_a_row_that_failed_finds_its_request_from_the_folder_it_came_back_in(factory: Factory) -> None:
    assert factory.issue("device1").code == 0
    for folder in ("requests", "elsewhere"):
        (factory.home / folder).mkdir()
    asked, absolute = factory.home / "requests" / "1.pem", factory.home / "2.pem"
    asked.write_bytes(csr(p256()))
    absolute.write_bytes(csr(p256()))
    (factory.home / "batches").symlink_to("elsewhere")
    out = factory.home / "batches" / "out"
    rows = [{"device": "device1", "csr_file": "requests/1.pem"}, {"device": "device2", "csr_file": str(absolute)}]
    first = batch(factory, write(factory.home / "order.csv", rows), out, model="fl100")
    assert (first.code, first.json["failed"]) == (2, 1), first.err
    assert [row["csr_file"] for row in read(out / "failed.csv")] == ["../../requests/1.pem"]
    assert factory.revoke("device1", reason="superseded").code == 0
    again = batch(factory, out / "failed.csv", factory.home / "again", model="fl100")
    assert (again.code, again.json["issued"]) == (0, 1), again.err


def test_keys_of_rows_that_fail_are_not_kept(factory: Factory) -> None:
    assert factory.issue("device1").code == 0
    out = factory.home / "out"
    done = batch(factory, write(factory.home / "order.csv", devices(3)), out)
    assert done.json["failed"] == 1
    assert [row["device"] for row in read(out / "keys.csv")] == ["device0", "device2"]


def test_an_authority_that_cannot_sign_is_told_before_anything_is_made(factory: Factory) -> None:
    refused = batch(
        factory, write(factory.home / "order.csv", devices(2)), factory.home / "out", "--authority", "line-b"
    )
    assert refused.code == 2
    assert "line-b.pem: authority line-b has no certificate yet" in refused.err
    assert not (factory.home / "out").exists()


def test_several_processes_issue_what_one_issues(factory: Factory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_batch, "ALONE", 0)
    monkeypatch.setattr(table, "PART_ROWS", 7)
    out = factory.home / "out"
    done = batch(factory, write(factory.home / "order.csv", devices(40)), out, "--jobs", "2")
    assert (done.code, done.json["issued"]) == (0, 40), done.err
    assert [row["device"] for row in read(out / "certificates.csv")] == [f"device{number}" for number in range(40)]
    assert audited(factory)["identities"] == 40


def test_a_batch_killed_in_the_middle_goes_on_and_each_device_has_one_identity(factory: Factory) -> None:
    file, out = write(factory.home / "order.csv", devices(ROWS)), factory.home / "out"
    command = [sys.executable, "-m", "provisioning", *map(str, arguments(factory, file, out, "--jobs", "2"))]
    kept: dict[str, bytes] = {}
    for done_before in (0, 1):
        with subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
        ) as process:
            wait_for_parts(out, done_before, process)
            process.kill()
            stdout, _ = process.communicate()
            assert (process.returncode, stdout) == (-signal.SIGKILL, b"")
            wait_until_gone(process.pid)
        done = {path.name: path.read_bytes() for path in (out / "parts").glob("[0-9]*.certificates.csv")}
        assert all(done[name] == data for name, data in kept.items()), "what was done is not done again"
        kept = done
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    assert json.loads(finished.stdout)["issued"] == ROWS
    results = read(out / "certificates.csv")
    assert [row["device"] for row in results] == [f"device{number}" for number in range(ROWS)]
    keys = {row["device"]: row["key"] for row in read(out / "keys.csv")}
    for row in results[::97]:
        key = load_der_private_key(base64.b64decode(keys[row["device"]]), None)
        assert key.public_key() == certificate(row).public_key()
    assert audited(factory)["identities"] == ROWS, "one identity a device, none left half done"


def test_a_second_run_of_a_running_batch_is_refused_and_every_key_is_kept(factory: Factory) -> None:
    file, out = write(factory.home / "order.csv", devices(3)), factory.home / "out"
    command = [sys.executable, "-m", "provisioning", *map(str, arguments(factory, file, out))]
    with (
        Ledger.open(factory.folder, "dev", create=True) as ledger,
        ledger.adding("a station that takes its time"),
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as first,
    ):
        while not (out / "parts").exists():
            assert first.poll() is None, "it ended before it began to issue"
            time.sleep(0.01)
        second = batch(factory, file, out)
        ledger.connection.rollback()
        stdout, stderr = first.communicate()
    assert (second.code, second.out) == (1, "")
    assert f"{out}: this batch is running already; wait until that has ended" in second.err
    assert first.returncode == 0, stderr
    assert batch(factory, file, out).json == json.loads(stdout), "once it has ended, its report is told"
    keys = {row["device"]: row["key"] for row in read(out / "keys.csv")}
    for row in read(out / "certificates.csv"):
        key = load_der_private_key(base64.b64decode(keys[row["device"]]), None)
        assert key.public_key() == certificate(row).public_key(), row["device"]


def test_a_process_that_outlives_its_killed_batch_keeps_the_next_run_out(tmp_path: Path) -> None:
    folder, of = Folder(tmp_path / "out"), {"file": "order.csv", "rows": 3}
    with contextlib.ExitStack() as child:
        with folder.held(of):
            child.enter_context(folder.shared())
        with pytest.raises(StationError, match="is running already"), folder.held(of):
            pass
    with folder.held(of), pytest.raises(StationError, match="is running already"), folder.held(of):
        pass


def ahead() -> datetime:
    return datetime.now(UTC) + timedelta(days=3)


def test_what_a_clock_that_was_ahead_issued_comes_back_with_the_reason(
    factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"device": f"device{number}", "csr": request()} for number in range(2)]
    with monkeypatch.context() as patch:
        patch.setattr(batch_command, "now", ahead)
        first = batch(factory, write(factory.home / "early.csv", rows[:1]), factory.home / "early", model="fl100")
        assert first.code == 0, first.err
        patch.setattr(batch_command, "finish", stopped)
        killed = batch(factory, write(factory.home / "order.csv", rows[:1]), factory.home / "half", model="fl100")
        assert killed.code == 1
    resumed = batch(factory, factory.home / "order.csv", factory.home / "half", model="fl100")
    other = batch(factory, write(factory.home / "both.csv", rows), factory.home / "other", model="fl100")
    assert (resumed.code, other.code, other.json["issued"], other.json["failed"]) == (2, 2, 1, 1), other.err
    for folder in ("half", "other"):
        (failed,) = read(factory.home / folder / "failed.csv")
        assert "device device0: its certificate is valid from" in failed["reason"]
        assert "set this station's clock" in failed["reason"]
        issued = [certificate(row) for row in read(factory.home / folder / "certificates.csv")]
        assert all(each.not_valid_before_utc <= datetime.now(UTC) for each in issued)


def test_a_key_that_was_made_here_waits_until_the_clock_is_right_or_its_device_is_ended(
    factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "PART_ROWS", 2)
    file, out = write(factory.home / "order.csv", devices(5)), factory.home / "out"
    with monkeypatch.context() as patch:
        patch.setattr(batch_command, "now", ahead)
        patch.setattr(Ledger, "record_all", stopped)
        assert batch(factory, file, out).code == 1
    waiting = batch(factory, file, out)
    assert (waiting.code, waiting.out) == (1, "")
    assert f"{file}:2: device device0: its certificate is valid from" in waiting.err
    said = "This row waits with its key; so do lines 3; its part of the batch waits with it, all others are done"
    assert said in waiting.err
    assert len(list((out / "parts").glob("*.certificates.csv"))) == 2, "the parts behind it went on"
    assert factory.revoke("device1").code == 0
    with monkeypatch.context() as patch:
        patch.setattr(batch_command, "now", ahead)
        done = batch(factory, file, out)
    assert (done.code, done.json["issued"], done.json["failed"]) == (2, 4, 1), done.err
    keys = {row["device"]: row["key"] for row in read(out / "keys.csv")}
    assert set(keys) == {"device0", "device2", "device3", "device4"}
    for row in read(out / "certificates.csv"):
        key = load_der_private_key(base64.b64decode(keys[row["device"]]), None)
        assert key.public_key() == certificate(row).public_key()
    (failed,) = read(out / "failed.csv")
    assert "this key of device device1 was revoked; a new identity needs a new key" in failed["reason"]


def wait_for_parts(out: Path, count: int, process: subprocess.Popen[bytes]) -> None:
    """Until more than `count` parts are done."""
    while len(list(out.glob("parts/[0-9]*.certificates.csv"))) <= count:
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.01)


def wait_until_gone(group: int) -> None:
    """Until the processes that a killed one had started have ended too, by themselves."""
    with contextlib.suppress(ProcessLookupError):
        while True:
            os.killpg(group, 0)
            time.sleep(0.01)
