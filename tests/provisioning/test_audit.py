"""What an auditor sees in a ledger that was tampered with, and that a sound one is found sound."""

import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from protocol.device_id import DeviceId
from provisioning.algorithm import public_key_der
from provisioning.audit import audit as auditing
from provisioning.audit.audit import Question, Report, audit
from provisioning.audit.findings import Kind
from provisioning.audit.segment import Sample
from provisioning.certify import certify
from provisioning.errors import StationError
from provisioning.file_signer import FileSigner
from provisioning.ledger.chain import Head
from provisioning.ledger.ledger import Ledger
from provisioning.ledger.records import Reason
from provisioning.ledger.schema import ENTRIES, beginning
from provisioning.ledger.seal import seal
from tests.provisioning.factory import Factory, provisioning
from tests.provisioning.ledgers import AUTHORITY, NOW, ask, intend, issued
from tests.provisioning.requests import p256, with_unreadable_extension

STATION = FileSigner(p256())
ALL = Sample(share=1, offset=0)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Three devices, one of them with a second identity, sealed; and after the seal a fourth device."""
    folder = tmp_path_factory.mktemp("sound")
    with Ledger.open(folder, "dev", create=True) as ledger:
        for name in ("device1", "device2", "device3"):
            ledger.deliver(issued(ledger, ask(DeviceId(name))), at=NOW)
        ledger.retire(DeviceId("device1"), Reason.SUPERSEDED, "new board", at=NOW)
        ledger.deliver(issued(ledger, ask(DeviceId("device1"))), at=NOW)
        seal(ledger, STATION, "shift", at=NOW)
        ledger.deliver(issued(ledger, ask(DeviceId("device4"))), at=NOW)
    return (folder / "ledger.db").read_bytes()


@pytest.fixture
def folder(sound: bytes, tmp_path: Path) -> Path:
    (tmp_path / "ledger.db").write_bytes(sound)
    return tmp_path


def question(folder: Path) -> Question:
    return Question(
        factory=folder,
        environment="dev",
        certificates={"line-a": AUTHORITY.certificate.public_bytes(Encoding.DER)},
        vendors=frozenset(),
        stations=[public_key_der(STATION.public_key())],
        sample=ALL,
        now=NOW,
    )


def asked(question: Question, *, jobs: int = 1) -> Report:
    return audit(question, jobs=jobs, progress=lambda _done, _total: None)


def found(folder: Path) -> list[tuple[Kind, str]]:
    return [(finding.kind, finding.text) for finding in asked(question(folder)).findings]


@contextmanager
def tampering(folder: Path) -> Iterator[sqlite3.Connection]:
    """The file in the hands of somebody who takes its rules out, and puts them back."""
    with closing(sqlite3.connect(folder / "ledger.db", isolation_level=None)) as connection:
        rules = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in rules:
            connection.execute(f"DROP TRIGGER {name}")
        yield connection
        for _, sql in rules:
            connection.execute(sql)


def rewrite_chain(connection: sqlite3.Connection) -> None:
    """Every hash made anew, so that the chain fits what is there now."""
    rows = sorted(
        (row[0], table, row[1:-1])
        for table in ENTRIES
        for row in connection.execute(f"SELECT * FROM {table}")  # noqa: S608  # our own names
    )
    head = beginning(connection)
    for number, table, columns in rows:
        head = Head(number - 1, head.hash).after(table, columns)
        connection.execute(f"UPDATE {table} SET hash = ? WHERE number = ?", (head.hash, number))  # noqa: S608  # our own names


def test_a_sound_ledger_has_no_findings_and_says_what_was_proven(folder: Path) -> None:
    report = asked(question(folder))
    assert report.findings == ()
    assert (report.entries, report.identities, report.verified, report.unsealed) == (17, 5, 5, 3)
    assert report.sealed.last is not None
    assert report.sealed.last.about == "shift"


def test_an_empty_ledger_is_sound(tmp_path: Path) -> None:
    with Ledger.open(tmp_path, "dev", create=True):
        pass
    assert asked(question(tmp_path)).findings == ()


def test_several_processes_find_what_one_finds(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tampering(folder) as connection:
        connection.execute("UPDATE issuance SET model = 'fl100' WHERE number = 4")
        connection.execute("DELETE FROM step WHERE number = 9")
    alone = asked(question(folder))
    monkeypatch.setattr(auditing, "ALONE", 0)
    monkeypatch.setattr(auditing, "SEGMENT_ENTRIES", 4)
    assert asked(question(folder), jobs=2) == alone
    assert [(finding.kind, finding.number) for finding in alone.findings] == [
        (Kind.CHAIN, 4),
        (Kind.NOT_DELIVERED, 8),
        (Kind.GAP, 9),
        (Kind.SEAL, 14),
    ]


CHANGES = [
    ("UPDATE issuance SET model = 'fl100' WHERE number = 1", "entry 1 (issuance) does not follow from entry 0"),
    ("UPDATE step SET note = 'lost' WHERE number = 10", "entry 10 (step) does not follow from entry 9"),
    ("UPDATE certificate SET at = at + 1 WHERE number = 2", "entry 2 (certificate) does not follow from entry 1"),
    ("UPDATE seal SET about = 'night' WHERE number = 14", "entry 14 (seal) does not follow from entry 13"),
    ("UPDATE issuance SET hash = zeroblob(32) WHERE number = 4", "entry 5 (certificate) does not follow from entry 4"),
    ("UPDATE ledger SET id = 'another'", "entry 1 (issuance) does not follow from entry 0"),
]


@pytest.mark.parametrize(("change", "said"), CHANGES)
def test_a_change_anywhere_breaks_the_chain_there(change: str, said: str, folder: Path) -> None:
    with tampering(folder) as connection:
        connection.execute(change)
    assert (Kind.CHAIN, f"{said} and what it says") in found(folder)


def test_an_entry_taken_out_is_a_gap(folder: Path) -> None:
    with tampering(folder) as connection:
        connection.execute("DELETE FROM step WHERE number = 17")
        connection.execute("DELETE FROM step WHERE number = 3")
    assert (Kind.GAP, "entry 3 is not there") in found(folder)
    assert (Kind.NOT_DELIVERED, "device device1: signed (entry 2) and never delivered") not in found(folder)


def test_a_chain_made_anew_does_not_deceive_who_knows_the_station(folder: Path) -> None:
    with tampering(folder) as connection:
        connection.execute("UPDATE issuance SET model = 'fl100' WHERE number = 1")
        rewrite_chain(connection)
    assert found(folder) == [(Kind.SEAL, "seal 14: its signature does not hold over the entries before it")]


def test_a_ledger_sealed_anew_by_another_key_is_of_an_unknown_station(folder: Path) -> None:
    with Ledger.open(folder, "dev") as ledger:
        seal(ledger, FileSigner(p256()), "mine", at=NOW)
    assert found(folder) == [(Kind.STATION, "seal 18: signed by a key that is none of the stations' you named")]
    anybody = replace(question(folder), stations=())
    assert asked(anybody).findings == (), "who names no station only learns which keys there are"
    assert len(asked(anybody).sealed.stations) == 2


CUT_OUT = """
DELETE FROM issuance WHERE number BETWEEN 11 AND 13;
DELETE FROM certificate WHERE number BETWEEN 11 AND 13;
DELETE FROM step WHERE number BETWEEN 11 AND 13;
UPDATE seal SET number = 11;
UPDATE issuance SET number = 12 WHERE number = 15;
UPDATE certificate SET number = 13, issuance = 12 WHERE number = 16;
UPDATE step SET number = 14, issuance = 12, through = 12 WHERE number = 17;
"""


def test_what_a_seal_counted_cannot_be_cut_out_before_it(folder: Path) -> None:
    with tampering(folder) as connection:
        connection.executescript(CUT_OUT)
        rewrite_chain(connection)
    counted = "counts 4 issuances, 4 certificates, 5 steps, and there are 3 issuances, 3 certificates, 4 steps"
    assert found(folder) == [
        (Kind.SEAL, "seal 11: its signature does not hold over the entries before it"),
        (Kind.SEAL, f"seal 11: {counted}"),
    ]


def other_certificate(connection: sqlite3.Connection) -> None:
    """Signed by somebody else, and entered as if it belonged there."""
    (to_be_signed,) = connection.execute("SELECT to_be_signed FROM issuance WHERE number = 15").fetchone()
    forged = certify(to_be_signed, FileSigner(p256())).public_bytes(Encoding.DER)
    tail = forged[forged.index(to_be_signed) + len(to_be_signed) :]
    connection.execute(
        "UPDATE certificate SET tail = ?, fingerprint = ? WHERE number = 16", (tail, hashlib.sha256(forged).digest())
    )


def run(sql: str) -> Callable[[sqlite3.Connection], object]:
    return lambda connection: connection.execute(sql)


BEHIND_THE_SEAL = [
    (other_certificate, Kind.SIGNATURE, "device device4: its certificate is not signed by authority line-a"),
    (
        run("UPDATE certificate SET fingerprint = zeroblob(32) WHERE number = 16"),
        Kind.CERTIFICATE,
        "device device4: its certificate has another fingerprint than the ledger says",
    ),
    (
        run("UPDATE issuance SET key_hash = zeroblob(32) WHERE number = 15"),
        Kind.CERTIFICATE,
        "device device4: its certificate has another key than the ledger says",
    ),
    (
        run("UPDATE issuance SET serial = x'01' WHERE number = 15"),
        Kind.CERTIFICATE,
        "device device4: its certificate has another serial number than the ledger says",
    ),
    (
        run("UPDATE issuance SET not_after = not_after + 1000000 WHERE number = 15"),
        Kind.CERTIFICATE,
        "device device4: its certificate ends before the ledger says",
    ),
    (
        run("UPDATE issuance SET device = 'device5' WHERE number = 15"),
        Kind.CERTIFICATE,
        "device device5: its certificate names another device",
    ),
    (
        run("UPDATE certificate SET tail = CAST(tail || x'00' AS BLOB) WHERE number = 16"),
        Kind.CERTIFICATE,
        "device device4: its certificate has another fingerprint than the ledger says",
    ),
    (
        run("UPDATE issuance SET authority = 'line-z' WHERE number = 15"),
        Kind.AUTHORITY,
        "authority line-z: its certificate is not among --authorities, so nothing it signed is verified",
    ),
    (
        run("UPDATE issuance SET device = 'device2', generation = 2 WHERE number = 15"),
        Kind.DOUBLE,
        "device device2: identity 2 began (entry 15) while the one before it stood",
    ),
    (
        run("UPDATE step SET at = 4102444800000000 WHERE number = 17"),
        Kind.CLOCK,
        "entry 17 is of 2100-01-01 00:00:00 UTC, which is still to come",
    ),
    (
        run("DELETE FROM step WHERE number = 17"),
        Kind.NOT_DELIVERED,
        "device device4: signed (entry 16) and never delivered; issue it again, or revoke it",
    ),
    (
        run("UPDATE step SET issuance = 16, through = 16 WHERE number = 17"),
        Kind.GAP,
        "entry 17 (delivered) is of issuance 16, which is not there",
    ),
]


@pytest.mark.parametrize(("change", "kind", "said"), BEHIND_THE_SEAL)
def test_whoever_may_write_the_chain_anew_must_still_say_the_truth_in_it(
    change: Callable[[sqlite3.Connection], object], kind: Kind, said: str, folder: Path
) -> None:
    with tampering(folder) as connection:
        change(connection)
        rewrite_chain(connection)
    assert (kind, said) in found(folder)


def test_rules_taken_out_of_the_file_are_missed(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "ledger.db")) as connection:
        connection.execute("DROP TRIGGER issuance_is_never_updated")
    said = "the file has other tables, indexes or triggers than a ledger is made with"
    assert found(folder) == [(Kind.FILE, said)]


def test_a_damaged_page_is_told_without_a_traceback(folder: Path) -> None:
    path = folder / "ledger.db"
    damaged = bytearray(path.read_bytes())
    for page in range(2, len(damaged) // 4096):
        damaged[page * 4096 : page * 4096 + 64] = bytes(64)
    path.write_bytes(damaged)
    with pytest.raises(StationError, match="is no ledger or is damaged"):
        found(folder)


def test_a_clock_that_went_back_is_told(folder: Path) -> None:
    with Ledger.open(folder, "dev") as ledger:
        ledger.retire(DeviceId("device2"), Reason.SUPERSEDED, "", at=NOW - timedelta(days=1))
    said = (
        "entry 18 is of 2026-11-22 12:00:00 UTC, and the one before it of 2026-11-23 12:00:00: "
        "the station's clock went back"
    )
    assert found(folder) == [(Kind.CLOCK, said)]


def test_what_was_prepared_and_never_signed_is_told(folder: Path) -> None:
    with Ledger.open(folder, "dev") as ledger:
        ledger.prepare(intend(ask(DeviceId("device9"))), at=NOW)
    said = "device device9: prepared (entry 18) and never signed; issue it again, or revoke it"
    assert found(folder) == [(Kind.NOT_SIGNED, said)]


def test_a_sample_verifies_its_share(folder: Path) -> None:
    every_second = replace(question(folder), sample=Sample(share=2, offset=1))
    assert asked(every_second).verified == 4, "issuances 1, 7, 11 and 15 of 1, 4, 7, 11 and 15"


def test_a_vendor_may_call_a_device_as_it_likes(folder: Path) -> None:
    with tampering(folder) as connection:
        connection.execute("UPDATE issuance SET device = 'device5' WHERE number = 15")
        rewrite_chain(connection)
    named = replace(question(folder), vendors=frozenset({"line-a"}))
    assert [finding.kind for finding in asked(named).findings] == []


def test_the_command_tells_a_sound_ledger_and_ends_with_one_that_is_not(factory: Factory) -> None:
    for device in ("device1", "device2"):
        assert factory.issue(device).code == 0
    sealed = factory.ledger("seal", "--about", "early shift")
    assert (sealed.code, sealed.json["certificates"]) == (0, 2), sealed.err
    assert factory.ledger("seal").json["number"] == sealed.json["number"], "nothing is new, so nothing is sealed again"
    assert factory.ledger("seal", "--about", "early shift").json["number"] == sealed.json["number"]
    late = factory.ledger("seal", "--about", "line 3, late shift").json
    assert (late["number"], late["about"]) == (sealed.json["number"] + 1, "line 3, late shift"), "no word is dropped"
    key = factory.folder / "station.pub.pem"
    command = (
        *("audit", "--stack", "dev", "--factory", factory.folder, "--authorities", factory.authorities),
        *("--station", key, "--json"),
    )
    told = provisioning(*command, "--deep")
    assert told.code == 0, told.out
    assert (told.json["identities"], told.json["verified_signatures"], told.json["unsealed_entries"]) == (2, 2, 0)
    assert told.json["stations"] == [sealed.json["station"]]
    with tampering(factory.folder) as connection:
        connection.execute("UPDATE step SET note = 'x' WHERE number = 3")
    broken = provisioning(*command)
    assert broken.code == 1
    assert [(found["kind"], found["number"]) for found in broken.json["findings"]] == [("chain", 3)]
    for_people = provisioning(*command[:-1])
    assert for_people.code == 1
    assert "provisioning: chain: entry 3 (step) does not follow from entry 2 and what it says" in for_people.err


def test_a_certificate_of_an_authority_that_is_missing_or_cannot_be_read_is_named(factory: Factory) -> None:
    assert factory.issue("device1").code == 0
    folder = factory.home / "others"
    folder.mkdir()
    command = ("audit", "--stack", "dev", "--factory", factory.folder, "--authorities", folder, "--json")
    told = provisioning(*command)
    assert (told.code, told.json["verified_signatures"]) == (1, 0)
    assert told.json["proven"].endswith("0 signatures, and none of line-a, without their certificates")
    path = folder / "line-a.pem"
    path.write_bytes(with_unreadable_extension().public_bytes(Encoding.PEM))
    refused = provisioning(*command)
    assert (refused.code, f"{path}: is no readable certificate" in refused.err) == (1, True), refused.err


def test_what_is_no_station_key_is_refused(factory: Factory) -> None:
    assert factory.issue("device1").code == 0
    refused = provisioning(
        *("audit", "--stack", "dev", "--factory", factory.folder, "--authorities", factory.authorities),
        *("--station", "pyproject.toml"),
    )
    assert refused.code == 2
    assert "--station: pyproject.toml is no public key" in refused.err
