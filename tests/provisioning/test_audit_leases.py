"""Who signed without the right to: found by the audit, one finding a signer and rule."""

from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from protocol.device_id import DeviceId
from provisioning.audit import audit as auditing
from provisioning.audit.audit import Question, audit
from provisioning.audit.findings import Kind
from provisioning.audit.leases import Breach, Right
from provisioning.audit.segment import Sample
from provisioning.certify import certify, to_be_signed
from provisioning.factory_file import Lease
from provisioning.lease import lease_period
from provisioning.ledger.ledger import Ledger
from provisioning.ledger.times import as_microseconds
from provisioning.profile import Validity, authority_name, station_builder, years
from tests.provisioning.ledgers import AUTHORITY, NOW, ask, intend
from tests.provisioning.requests import p256

DAY = NOW.date()
LIFE = years(17)


def lease(begins: date = DAY, ends: date = DAY, certificates: int = 10, from_hour: int = 0, to_hour: int = 24) -> Lease:
    return Lease(begins=begins, ends=ends, certificates=certificates, from_hour=from_hour, to_hour=to_hour)


def station(leased: Lease, *, begins: datetime = NOW, lasts: timedelta = LIFE) -> x509.Certificate:
    """A station's certificate, with the days of its lease in it."""
    first, last = lease_period(leased)
    builder = station_builder(
        name=authority_name("Station", "O"),
        public_key=p256().public_key(),
        signs=Validity(not_before=first, not_after=last),
        issuer=AUTHORITY.certificate,
        validity=Validity(not_before=begins, not_after=begins + lasts),
        serial=x509.random_serial_number(),
    )
    return certify(to_be_signed(builder), AUTHORITY.signer)


def found(folder: Path, certificate: x509.Certificate, leases: dict[str, Lease], *prepared: datetime) -> list[str]:
    """What an audit says of leases, of a ledger in which `line-a` prepared at those times."""
    with Ledger.open(folder, "dev", create=True) as ledger:
        for number, at in enumerate(sorted(prepared)):
            ledger.prepare(intend(ask(DeviceId(f"device{number}"))), at=at)
    question = Question(
        factory=folder,
        environment="dev",
        certificates={"line-a": certificate.public_bytes(Encoding.DER)},
        vendors=frozenset(),
        stations=[],
        sample=Sample(share=1, offset=0),
        now=NOW + timedelta(days=400),
        leases=leases,
    )
    report = audit(question, jobs=1, progress=lambda _done, _total: None)
    return [finding.text for finding in report.findings if finding.kind is Kind.LEASE]


def test_a_station_that_kept_to_its_lease_is_not_mentioned(tmp_path: Path) -> None:
    mine = lease(certificates=3, from_hour=12, to_hour=13)
    last = NOW.replace(minute=59, second=59, microsecond=999_999)
    assert found(tmp_path, station(mine), {"line-a": mine}, NOW, NOW, last) == []


def test_a_lease_ends_with_the_last_moment_of_its_last_day(tmp_path: Path) -> None:
    midnight = datetime.combine(DAY + timedelta(days=1), time.min, UTC)
    instant = timedelta(microseconds=1)
    assert found(tmp_path, station(lease()), {"line-a": lease()}, NOW, midnight - instant) == []
    (after,) = found(tmp_path / "another", station(lease()), {"line-a": lease()}, midnight)
    assert "prepared 1 certificates outside the days of its lease" in after


def test_every_rule_that_was_broken_is_one_finding_with_the_first_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auditing, "SEGMENT_ENTRIES", 2)
    mine = lease(certificates=4, from_hour=12, to_hour=13)
    hour, day = timedelta(hours=1), timedelta(days=1)
    told = found(
        tmp_path,
        station(mine, lasts=years(14)),
        {"line-a": mine},
        NOW,
        NOW + hour,
        NOW + 2 * hour,
        NOW + day,
        NOW - hour,
    )
    first = "the first is that of device device0 (entry 1, 2026-11-23 11:00 UTC)"
    last = "the first is that of device device4 (entry 5, 2026-11-24 12:00 UTC)"
    assert told == [
        "line-a: prepared 5 certificates, and its lease gives 4",
        f"line-a: prepared 1 certificates while its own certificate was not valid; {first}",
        f"line-a: prepared 5 certificates to last longer than its own certificate; {first}",
        f"line-a: prepared 3 certificates outside the hours of its lease; {first}",
        f"line-a: prepared 1 certificates outside the days of its lease; {last}",
    ]


def test_a_lease_that_was_changed_in_the_factory_file_does_not_change_the_days(tmp_path: Path) -> None:
    longer = lease(ends=DAY + timedelta(days=30))
    told = found(tmp_path, station(lease()), {"line-a": longer}, NOW, NOW + timedelta(days=3))
    names, breaks = (text.partition(";")[0] for text in told)
    assert names.startswith(
        "line-a: its certificate names a lease from 2026-11-23 to 2026-11-23, and the factory file a "
    )
    assert breaks == "line-a: prepared 1 certificates outside the days of its lease"


def test_a_station_that_the_factory_file_forgot_is_held_to_its_certificate(tmp_path: Path) -> None:
    told = found(tmp_path, station(lease()), {}, NOW, NOW + timedelta(days=3))
    assert [text.partition(";")[0] for text in told] == [
        "line-a: prepared 1 certificates outside the days of its lease"
    ]


def test_an_authority_has_no_lease_and_is_held_to_its_own_life(tmp_path: Path) -> None:
    assert found(tmp_path, AUTHORITY.certificate, {}, NOW, NOW + timedelta(days=300)) == []


@pytest.mark.parametrize(
    ("hours", "kept"),
    [((22, 6), {22, 23, 0, 5}), ((6, 22), {6, 21}), ((0, 24), {0, 5, 6, 21, 22, 23})],
)
def test_hours_over_midnight_are_those_the_station_signs_in(hours: tuple[int, int], kept: set[int]) -> None:
    mine = lease(from_hour=hours[0], to_hour=hours[1])
    right = Right.of(station(mine, begins=datetime(2026, 1, 1, tzinfo=UTC)), mine)
    moments = {hour: as_microseconds(NOW.replace(hour=hour, minute=30)) for hour in (0, 5, 6, 21, 22, 23)}
    broken = {hour: list(right.breaches(at, not_after=0)) for hour, at in moments.items()}
    assert {hour for hour, breaches in broken.items() if not breaches} == kept
    assert {breach for breaches in broken.values() for breach in breaches} <= {Breach.HOURS}
