"""Many identities with two commits, each as if it came alone."""

from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509

from protocol.device_id import DeviceId
from provisioning.authority import IssuingAuthority
from provisioning.errors import StationError
from provisioning.issue_many import Given, Wanted, issue_many
from provisioning.ledger.history import read_history
from provisioning.ledger.ledger import Ledger
from provisioning.ledger.records import Identity, Reason
from provisioning.ledger.uploads import count_pending
from tests.provisioning.ledgers import AUTHORITY, NOW, PROFILE, ask, intend, issued, make_authority


def wanted(*devices: str) -> list[Wanted]:
    return [Wanted(ask(DeviceId(device)), PROFILE) for device in devices]


def many(
    ledger: Ledger, asked: list[Wanted], authority: IssuingAuthority = AUTHORITY, now: datetime = NOW
) -> list[Given]:
    return issue_many(asked, authority, ledger, clock=lambda: now, new_serial=x509.random_serial_number)


def test_each_is_what_it_would_be_alone_and_the_same_again(tmp_path: Path) -> None:
    asked = wanted("device1", "device2", "device3")
    with Ledger.open(tmp_path, "dev", create=True) as ledger:
        given = many(ledger, asked)
        assert many(ledger, asked) == given
        for each, identity in zip(asked, given, strict=True):
            assert isinstance(identity, Identity)
            identity.certificate.verify_directly_issued_by(AUTHORITY.certificate)
            assert issued(ledger, each.request) == identity


def test_one_that_is_refused_keeps_no_other_back(tmp_path: Path) -> None:
    asked = wanted("device1", "device2", "device2", "device3")
    with Ledger.open(tmp_path, "dev", create=True) as ledger:
        given = many(ledger, asked)
    assert [isinstance(each, Identity) for each in given] == [True, True, False, True]
    assert "device device2 has an identity with another key" in str(given[2])


def test_what_an_earlier_run_prepared_is_signed_as_it_was_prepared(tmp_path: Path) -> None:
    asked = wanted("device1", "device2")
    with Ledger.open(tmp_path, "dev", create=True) as ledger:
        ledger.prepare(intend(asked[0].request), at=NOW)
        standing = ledger.prepare(intend(asked[0].request), at=NOW + timedelta(days=1))
        first, _ = many(ledger, asked)
        assert isinstance(first, Identity)
        assert not isinstance(standing, Identity)
        assert first.certificate.tbs_certificate_bytes == standing.to_be_signed
    with Ledger.open(tmp_path / "other", "dev", create=True) as ledger:
        ledger.prepare(intend(asked[0].request), at=NOW)
        first, second = many(ledger, asked, make_authority())
    assert isinstance(first, StationError)
    assert "names another issuer than authority line-a is now" in str(first)
    assert isinstance(second, Identity), "one device of an earlier day keeps no other back"


def test_what_is_not_valid_by_the_clock_is_not_given_and_keeps_no_other_back(tmp_path: Path) -> None:
    asked = wanted("signed", "signed-too", "prepared", "new")
    with Ledger.open(tmp_path, "dev", create=True) as ledger:
        ahead = NOW + timedelta(days=3)
        signed, _ = many(ledger, asked[:2], now=ahead)
        ledger.prepare(intend(asked[2].request, now=ahead), at=NOW)
        given = many(ledger, asked)
        assert [type(each) for each in given] == [StationError, StationError, StationError, Identity]
        for each, refused in zip(asked[:3], given[:3], strict=True):
            assert f"device {each.request.device}: its certificate is valid from 2026-11-26 11:00" in str(refused)
        later = many(ledger, asked, now=ahead)
    assert (later[0], later[3]) == (signed, given[3]), "the same, whenever they are valid"
    assert isinstance(later[2], Identity)


def test_one_that_ended_between_its_two_commits_is_refused(tmp_path: Path) -> None:
    asked = wanted("device1", "device2")
    with Ledger.open(tmp_path, "dev", create=True) as ledger:
        ledger.prepare(intend(asked[1].request), at=NOW)
        ledger.revoke(DeviceId("device2"), Reason.KEY_COMPROMISE, "", at=NOW)
        first, second = many(ledger, asked)
    assert isinstance(first, Identity)
    assert "this key of device device2 was revoked" in str(second)


def test_what_is_delivered_together_is_one_entry_and_each_one_knows_it(tmp_path: Path) -> None:
    with Ledger.open(tmp_path, "dev", create=True) as ledger:
        alone = issued(ledger, ask(DeviceId("device4")))
        asked = wanted("device1", "device2", "device3")
        given = [each for each in many(ledger, asked) if isinstance(each, Identity)]
        ledger.deliver(given[1], at=NOW)
        ledger.deliver_all([*given, alone], at=NOW + timedelta(hours=1))
        ledger.deliver_all([*given, alone], at=NOW + timedelta(hours=2))
        entries = ledger.connection.execute("SELECT issuance, through FROM step ORDER BY number").fetchall()
        first = given[0].issuance
        assert entries == [
            (first + 1, first + 1),
            (alone.issuance, alone.issuance),
            (first, first),
            (first + 2, first + 2),
        ]
        assert count_pending(ledger, "m") == 4
        (later,) = read_history(ledger, DeviceId("device3"))
        assert (later.events[-1].step, later.events[-1].at) == ("delivered", NOW + timedelta(hours=1))
        more = [each for each in many(ledger, wanted("a", "b", "c")) if isinstance(each, Identity)]
        ledger.deliver_all(more[:2], at=NOW)
        assert count_pending(ledger, "m") == 6, "the third of them was not delivered"
        ledger.deliver_all(more, at=NOW)
        assert count_pending(ledger, "m") == 7
