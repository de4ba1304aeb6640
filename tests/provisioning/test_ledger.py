"""The ledger holds the rules itself, whatever a program above it does."""

import itertools
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from protocol.admission import Standing
from protocol.device_id import DeviceId
from provisioning.algorithm import KeyType
from provisioning.authority import IssuingAuthority
from provisioning.birth import BirthProfile
from provisioning.certify import certify
from provisioning.draft import draft
from provisioning.errors import RefusedError, StationError
from provisioning.issue import issue
from provisioning.ledger import log
from provisioning.ledger.history import read_history
from provisioning.ledger.ledger import Ledger
from provisioning.ledger.records import Identity, Prepared, Reason, Signed
from provisioning.ledger.rows import device_with_key, latest_of
from provisioning.ledger.uploads import count_pending, pending, remember
from provisioning.profile import years
from provisioning.request import Request
from tests.provisioning.ledgers import AUTHORITY, DEVICE, NOW, PROFILE, ask, intend, issued, make_authority


def has_identity(ledger: Ledger, device: DeviceId) -> bool:
    latest = latest_of(ledger.connection, device)
    return latest is not None and not latest.is_ended


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path, "dev", create=True) as opened:
        yield opened


def waiting(ledger: Ledger, manifest: str, *, again: bool = False, page: int = 100) -> list[Identity]:
    """What a manifest is still to be told, all pages together."""
    pages = list(pending(ledger, manifest, again=again, page=page))
    found = [identity for page in pages for identity in page]
    assert count_pending(ledger, manifest, again=again) == len(found)
    return found


def test_a_commit_is_on_the_disk_when_it_returns(ledger: Ledger) -> None:
    assert ledger.connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert ledger.connection.execute("PRAGMA synchronous").fetchone() == (2,), "FULL: the log is synced at each commit"


def test_the_right_to_sign_is_spent_once_and_the_first_certificate_stays(ledger: Ledger) -> None:
    prepared = ledger.prepare(intend(ask()), at=NOW)
    assert isinstance(prepared, Prepared)
    first = certify(prepared.to_be_signed, AUTHORITY.signer)
    second = certify(prepared.to_be_signed, AUTHORITY.signer)
    assert first.signature != second.signature, "ECDSA signs anew each time, so these are two certificates"
    kept = ledger.record(prepared, first, at=NOW)
    assert ledger.record(prepared, second, at=NOW) == kept
    assert kept.der == first.public_bytes(Encoding.DER)


def test_many_are_one_commit_each_as_if_it_came_alone(ledger: Ledger) -> None:
    second = ask(DeviceId("device2"))
    stands = issued(ledger, second)
    first, again, other_key = ask(), ask(DeviceId("device3")), ask(DeviceId("device2"))
    same_device = intend(ask())
    asked = [intend(first), same_device, intend(again), intend(again), intend(other_key)]
    given = ledger.prepare_all(asked, at=NOW)
    one, refused, two, two_again, known = given
    assert isinstance(one, Prepared)
    assert isinstance(refused, RefusedError)
    assert "has an identity with another key" in str(refused)
    assert two == two_again
    assert isinstance(known, RefusedError)
    assert isinstance(two, Prepared)
    signed = [
        Signed(each, certify(each.to_be_signed, AUTHORITY.signer).public_bytes(Encoding.DER)) for each in (one, two)
    ]
    recorded = ledger.record_all(signed, at=NOW)
    identities = [each for each in recorded if isinstance(each, Identity)]
    ledger.deliver_all(identities, at=NOW)
    assert [identity.device for page in pending(ledger, "m") for identity in page] == ["device1", "device3"]
    assert ledger.prepare_all([intend(first)], at=NOW) == identities[:1]
    assert ledger.find(DeviceId("device2"), second.key_hash, model="fl50", authority="line-a") == stands


def test_a_request_that_another_station_is_faster_with_is_no_conflict_with_itself(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = ask()
    looked = "provisioning.ledger.standing.device_with_key"

    def late(connection: sqlite3.Connection, key_hash: bytes) -> DeviceId | None:
        """The other station issues between the two questions that this one asks."""
        monkeypatch.setattr(looked, device_with_key)
        with Ledger.open(tmp_path, "dev") as other:
            issued(other, request)
        return device_with_key(connection, key_hash)

    monkeypatch.setattr(looked, late)
    identity = issued(ledger, request)
    (certificates,) = ledger.connection.execute("SELECT count(*) FROM certificate").fetchone()
    assert certificates == 1, "there is one certificate"
    assert issued(ledger, request) == identity, "both stations hand out the one certificate"


def test_of_many_none_is_recorded_when_one_is_not_what_was_prepared(ledger: Ledger) -> None:
    given = ledger.prepare_all([intend(ask()), intend(ask(DeviceId("device2")))], at=NOW)
    one, two = (each for each in given if isinstance(each, Prepared))
    der = certify(one.to_be_signed, AUTHORITY.signer).public_bytes(Encoding.DER)
    with pytest.raises(StationError, match="device device2: a certificate was signed that the ledger did not prepare"):
        ledger.record_all([Signed(one, der), Signed(two, der)], at=NOW)
    assert ledger.connection.execute("SELECT count(*) FROM certificate").fetchone() == (0,)


def test_a_serial_number_that_repeats_itself_stops_the_station(ledger: Ledger) -> None:
    drawn = draft(ask(), AUTHORITY.template, profile=PROFILE, now=NOW, serial=77)
    ledger.prepare(drawn, at=NOW)
    again = draft(ask(DeviceId("device2")), AUTHORITY.template, profile=PROFILE, now=NOW, serial=77)
    with pytest.raises(StationError, match="device device2: serial number 4d of line-a is taken"):
        ledger.prepare(again, at=NOW)


def test_a_registration_is_a_step_of_its_own_in_each_cluster(ledger: Ledger) -> None:
    identity = issued(ledger, ask())
    ledger.deliver(identity, at=NOW)
    for cluster in ("us1", "eu1", "us1"):
        ledger.register(identity, cluster, at=NOW)
    (history,) = read_history(ledger, DEVICE)
    assert [(event.step, event.note) for event in history.events[3:]] == [
        ("delivered", ""),
        ("registered", "eu1"),
        ("registered", "us1"),
    ]


def test_the_log_is_emptied_when_it_has_grown_and_nothing_is_lost(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "ENTRIES_BEFORE_REST", 6)
    size = (tmp_path / "ledger.db").stat().st_size
    for number in range(10):
        ledger.deliver(issued(ledger, ask(DeviceId(f"device{number}"))), at=NOW)
    assert (tmp_path / "ledger.db").stat().st_size > size
    assert count_pending(ledger, "m") == 10


def test_a_long_reader_puts_emptying_the_log_off_and_stops_nobody(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "ENTRIES_BEFORE_REST", 3)
    issued(ledger, ask())
    with closing(sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM issuance").fetchone() == (1,)
        ledger.deliver(issued(ledger, ask(DeviceId("device2"))), at=NOW)
        assert ledger.connection.execute("PRAGMA busy_timeout").fetchone() == (30_000,), "for other stations, as before"
        assert reader.execute("SELECT count(*) FROM issuance").fetchone() == (1,), "a reader sees what it saw"
        reader.execute("COMMIT")
    assert count_pending(ledger, "m") == 1


def test_a_failing_disk_names_the_device_and_leaves_nothing(ledger: Ledger) -> None:
    (pages,) = ledger.connection.execute("PRAGMA page_count").fetchone()
    ledger.connection.execute(f"PRAGMA max_page_count = {pages}")
    asked = [intend(ask(DeviceId(f"device{number}"))) for number in range(50)]
    said = "50 devices, device0 to device49: the ledger failed .database or disk is full"
    with pytest.raises(StationError, match=said):
        ledger.prepare_all(asked, at=NOW)
    assert ledger.connection.execute("SELECT count(*) FROM issuance").fetchone() == (0,)


def test_a_certificate_nobody_prepared_is_not_recorded(ledger: Ledger) -> None:
    prepared = ledger.prepare(intend(ask()), at=NOW)
    assert isinstance(prepared, Prepared)
    other = certify(intend(ask()).to_be_signed, AUTHORITY.signer)
    with pytest.raises(StationError, match="did not prepare"):
        ledger.record(prepared, other, at=NOW)
    assert waiting(ledger, "m") == []


def test_what_was_prepared_is_signed_with_its_first_serial_and_validity(ledger: Ledger) -> None:
    request = ask()
    prepared = ledger.prepare(intend(request), at=NOW)
    assert isinstance(prepared, Prepared)
    later = issue(
        request,
        AUTHORITY,
        ledger,
        profile=BirthProfile(key_type=KeyType.P256, lifetime=timedelta(days=1)),
        clock=lambda: NOW + timedelta(days=3),
        new_serial=lambda: 99,
    )
    assert later.certificate.tbs_certificate_bytes == prepared.to_be_signed


def test_an_identity_revoked_before_it_was_signed_is_never_signed(ledger: Ledger) -> None:
    prepared = ledger.prepare(intend(ask()), at=NOW)
    assert isinstance(prepared, Prepared)
    assert ledger.revoke(DEVICE, Reason.KEY_COMPROMISE, "", at=NOW)
    with pytest.raises(RefusedError, match="revoked before it was signed"):
        ledger.record(prepared, certify(prepared.to_be_signed, AUTHORITY.signer), at=NOW)


def test_an_authority_that_changed_its_key_does_not_sign_what_another_prepared(ledger: Ledger) -> None:
    request = ask()
    ledger.prepare(intend(request), at=NOW)
    with pytest.raises(StationError, match="names another issuer than authority line-a is now"):
        issued(ledger, request, make_authority())


def test_a_device_cannot_have_the_key_of_its_authority(ledger: Ledger) -> None:
    key = AUTHORITY.signer.public_key()
    greedy = Request.of_key(key, device=DEVICE, model="fl50", authority="line-a", key_type=KeyType.P256)
    with pytest.raises(RefusedError, match="with the key of authority line-a"):
        issued(ledger, greedy)


@pytest.mark.parametrize(
    ("clock", "error", "said"),
    [
        (NOW - timedelta(days=400), StationError, "set this station's clock"),
        (NOW + years(21), RefusedError, "expired on 2046"),
    ],
)
def test_an_authority_is_not_ready_outside_its_life(clock: datetime, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        IssuingAuthority.ready(
            name="line-a", certificate=AUTHORITY.certificate, signer=AUTHORITY.signer, root=None, now=clock
        )


def test_an_authority_of_another_root_is_not_ready() -> None:
    with pytest.raises(StationError, match="was not issued by this factory's root"):
        IssuingAuthority.ready(
            name="line-a",
            certificate=AUTHORITY.certificate,
            signer=AUTHORITY.signer,
            root=make_authority("other").certificate,
            now=NOW,
        )


def test_revoking_twice_is_once_and_an_unknown_device_is_refused(ledger: Ledger) -> None:
    issued(ledger, ask())
    assert ledger.revoke(DEVICE, Reason.SUPERSEDED, "new board", at=NOW)
    assert not ledger.revoke(DEVICE, Reason.KEY_COMPROMISE, "", at=NOW)
    with pytest.raises(RefusedError, match="device device2 is not in this ledger"):
        ledger.revoke(DeviceId("device2"), Reason.UNSPECIFIED, "", at=NOW)


@pytest.mark.parametrize("table", ["ledger", "issuance", "certificate", "step"])
@pytest.mark.parametrize("change", ["DELETE FROM {}", "UPDATE {} SET rowid = rowid"])
def test_nothing_that_happened_can_be_changed(table: str, change: str, ledger: Ledger) -> None:
    ledger.deliver(issued(ledger, ask()), at=NOW)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        ledger.connection.execute(change.format(table))


COPY = (
    "INSERT INTO issuance SELECT number + 10, at, {device}, {generation}, model, authority, {key_hash}, {serial}, "
    "not_after, to_be_signed, hash FROM issuance"
)
SECOND = {"device": "'device2'", "generation": "1", "key_hash": "x'01'", "serial": "x'01'"}


@pytest.mark.parametrize(
    ("same", "rule"),
    [
        ("device", "UNIQUE constraint failed: issuance.device, issuance.generation"),
        ("key_hash", "UNIQUE constraint failed: issuance.key_hash"),
        ("serial", "UNIQUE constraint failed: issuance.serial, issuance.authority"),
    ],
)
def test_the_file_itself_refuses_a_second_identity_a_second_device_and_a_second_serial(
    same: str, rule: str, ledger: Ledger
) -> None:
    issued(ledger, ask())
    with pytest.raises(sqlite3.IntegrityError, match=rule):
        ledger.connection.execute(COPY.format(**{**SECOND, same: same}))


def test_the_file_itself_refuses_the_next_identity_while_the_one_before_stands(ledger: Ledger) -> None:
    issued(ledger, ask())
    following = COPY.format(**{**SECOND, "device": "device", "generation": "2"})
    with pytest.raises(sqlite3.IntegrityError, match="the identity before has not ended"):
        ledger.connection.execute(following)
    ledger.retire(DEVICE, Reason.SUPERSEDED, "new board", at=NOW)
    ledger.connection.execute(following)


def test_a_cluster_is_told_once_and_again_when_the_standing_changes(ledger: Ledger) -> None:
    identity = issued(ledger, ask())
    assert waiting(ledger, "m") == [], "what was not delivered is nobody's business"
    ledger.deliver(identity, at=NOW)
    assert waiting(ledger, "m") == [identity]
    remember(ledger, [identity], "m", at=NOW)
    assert waiting(ledger, "m") == []
    assert waiting(ledger, "another") == [identity]
    assert waiting(ledger, "m", again=True) == [identity]
    ledger.revoke(DEVICE, Reason.SUPERSEDED, "", at=NOW)
    (revoked,) = waiting(ledger, "m")
    assert revoked.entry.standing is Standing.REVOKED
    assert revoked.entry.fingerprint == identity.fingerprint
    remember(ledger, [revoked], "m", at=NOW)
    assert waiting(ledger, "m") == []


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """For many examples, each with devices of its own: making a ledger takes longer than an example."""
    with Ledger.open(tmp_path_factory.mktemp("ledger"), "dev", create=True) as opened:
        yield opened


EXAMPLES = itertools.count()


@given(asked=st.lists(st.tuples(st.sampled_from(["issue", "issue new", "revoke"]), st.integers(0, 2)), max_size=12))
def test_whatever_is_asked_in_whatever_order_a_device_has_at_most_one_active_identity(
    asked: list[tuple[str, int]], lasting: Ledger
) -> None:
    example = next(EXAMPLES)
    devices = [DeviceId(f"device{number}-{example}") for number in range(3)]
    keys: dict[int, Request] = {}
    for what, number in asked:
        device = devices[number]
        if what == "issue new" or number not in keys:
            keys[number] = ask(device)
        try:
            if what == "revoke":
                lasting.revoke(device, Reason.UNSPECIFIED, "", at=NOW)
            else:
                issued(lasting, keys[number])
        except RefusedError:
            pass
    standing = lasting.connection.execute(
        "SELECT device, count(*) FROM identity WHERE NOT is_revoked AND device IN (?, ?, ?) GROUP BY device", devices
    ).fetchall()
    assert all(count == 1 for _, count in standing)
    assert {device for device, _ in standing} == {device for device in devices if has_identity(lasting, device)}


def test_a_file_that_is_no_ledger_is_named(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_bytes(b"not a ledger at all, just text" * 100)
    with pytest.raises(StationError, match="is no ledger or is damaged"), Ledger.open(tmp_path, "dev"):
        pass


def test_a_ledger_of_a_later_program_is_left_alone(tmp_path: Path) -> None:
    with Ledger.open(tmp_path, "dev", create=True) as ledger:
        ledger.connection.execute("PRAGMA user_version = 3")
    with pytest.raises(StationError, match="is a ledger of version 3"), Ledger.open(tmp_path, "dev"):
        pass


def test_a_ledger_from_before_the_chain_is_left_alone_and_the_way_out_is_said(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "ledger.db")
    connection.execute("PRAGMA user_version = 1")
    connection.close()
    before = (tmp_path / "ledger.db").read_bytes()
    with (
        pytest.raises(StationError, match=r"from before it was chained.*a new --factory folder"),
        Ledger.open(tmp_path, "dev", create=True),
    ):
        pass
    assert (tmp_path / "ledger.db").read_bytes() == before


def test_reading_makes_no_ledger(tmp_path: Path) -> None:
    with pytest.raises(StationError, match="there is no ledger"), Ledger.open(tmp_path, "dev"):
        pass
    assert list(tmp_path.iterdir()) == []
