"""The station's clock is wrong, or turns wrong while it issues."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from protocol.device_id import DeviceId
from provisioning.draft import draft
from provisioning.errors import StationError
from provisioning.issue_many import Wanted
from provisioning.ledger.ledger import Ledger
from provisioning.ledger.records import Identity, Reason
from provisioning.station import Issued, Station
from tests.faults.judge import broken_rules, rows
from tests.provisioning.factory import ROOT, Factory, Finished, provisioning
from tests.provisioning.requests import csr, p256

DAY = timedelta(days=1)
NOW = datetime.now(UTC)


@pytest.fixture
def factory(untouched_factory: Factory, tmp_path: Path) -> Factory:
    """One that has issued nothing; its ceremony was held by a clock that was ten days late."""
    shutil.copytree(untouched_factory.home, tmp_path, dirs_exist_ok=True)
    return Factory(tmp_path)


def by_the_clock(shift: str, factory: Factory, *command: object) -> Finished:
    """A command as typed, with a clock that is `shift` off, such as `+400d`."""
    words = [str(word) for word in (*command, "--factory", factory.folder)]
    ran = subprocess.run(
        ["faketime", "-f", shift, sys.executable, "-m", "provisioning", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return Finished(ran.returncode, ran.stdout, ran.stderr)


@dataclass(frozen=True)
class Clock:
    """Says `first` until the ledger holds what is to be signed, and then `later`."""

    first: datetime
    later: datetime | None = None
    factory: Factory | None = None

    def __call__(self) -> datetime:
        has_turned = self.later is not None and self.factory is not None and rows(self.factory)
        return self.later if has_turned and self.later else self.first


@dataclass(frozen=True)
class Line:
    """Orders for one device at stations whose clocks the test sets."""

    factory: Factory
    request: bytes

    def station(self, clock: Callable[[], datetime]) -> Station:
        return Station.open(stack="dev", factory=self.factory.folder, authorities=self.factory.authorities, clock=clock)

    def issue(self, clock: Callable[[], datetime], request: bytes | None = None) -> Issued:
        station = self.station(clock)
        order = station.order(device="device1", model="fl100", authority="line-a")
        return station.issue(order, station.request(order, request or self.request))

    def prepare(self, now: datetime) -> None:
        """What a station leaves that was killed before it could sign."""
        station = self.station(Clock(now))
        order = station.order(device="device1", model="fl100", authority="line-a")
        request = station.request(order, self.request)
        template = station.authority("line-a").template
        intent = draft(request, template, profile=order.profile, now=now, serial=x509.random_serial_number())
        with Ledger.open(self.factory.folder, "dev", create=True) as ledger:
            ledger.prepare(intent, at=now)


@pytest.fixture
def line(factory: Factory) -> Line:
    return Line(factory, csr(p256()))


def is_valid(issued: Issued, now: datetime) -> bool:
    certificate = issued.identity.certificate
    return certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc


@pytest.mark.parametrize("off", [-DAY, DAY, 400 * DAY])
def test_a_clock_that_is_off_gives_what_is_valid_by_it_and_once_right_gives_the_same_or_says_why_not(
    off: timedelta, line: Line
) -> None:
    first = line.issue(Clock(NOW + off))
    assert is_valid(first, NOW + off)
    if off < timedelta(0):
        assert line.issue(Clock(NOW)).identity == first.identity
    else:
        with pytest.raises(StationError, match=r"device device1: its certificate is valid from .* set this station's"):
            line.issue(Clock(NOW))
        assert line.issue(Clock(NOW + off)).identity == first.identity
    assert len(rows(line.factory)) == 1


@pytest.mark.parametrize("back", [DAY, 400 * DAY, timedelta(hours=2)])
def test_a_clock_that_goes_back_while_it_issues_hands_out_nothing_and_a_rerun_signs_what_was_prepared(
    back: timedelta, line: Line
) -> None:
    with pytest.raises(StationError, match="device device1: its certificate is valid from"):
        line.issue(Clock(NOW, NOW - back, line.factory))
    (prepared,) = rows(line.factory)
    assert prepared.certificate is None, "what is not valid is not signed for anybody"
    issued = line.issue(Clock(NOW))
    assert is_valid(issued, NOW)
    assert [row.serial for row in rows(line.factory)] == [prepared.serial]


def test_a_clock_that_goes_back_by_less_than_certificates_are_dated_back_is_no_matter(line: Line) -> None:
    assert is_valid(line.issue(Clock(NOW, NOW - timedelta(minutes=50), line.factory)), NOW)


def test_a_clock_that_goes_back_in_a_batch_hands_out_nothing(line: Line) -> None:
    station = line.station(Clock(NOW, NOW - DAY, line.factory))
    order = station.order(device="device1", model="fl100", authority="line-a")
    wanted = Wanted(station.request(order, line.request), order.profile)
    with Ledger.open(line.factory.folder, "dev", create=True) as ledger:
        with pytest.raises(StationError, match="device device1: its certificate is valid from"):
            station.issue_many("line-a", [wanted], ledger)
        (given,) = line.station(Clock(NOW)).issue_many("line-a", [wanted], ledger)
    assert isinstance(given, Identity)
    assert given.certificate.not_valid_before_utc <= NOW


def test_what_was_prepared_by_a_clock_400_days_ahead_is_not_signed_and_the_way_out_is_told(line: Line) -> None:
    line.prepare(NOW + 400 * DAY)
    with pytest.raises(StationError, match="revoke the device, and issue it again with a new key"):
        line.issue(Clock(NOW))
    assert line.station(Clock(NOW)).retire(DeviceId("device1"), Reason.SUPERSEDED, "the clock was ahead")
    issued = line.issue(Clock(NOW), csr(p256()))
    assert is_valid(issued, NOW)
    assert [bool(row.certificate) for row in rows(line.factory)] == [False, True]


def test_what_was_prepared_and_has_expired_since_is_not_signed(line: Line) -> None:
    line.prepare(NOW)
    late = NOW + timedelta(days=15 * 365 + 30)
    with pytest.raises(StationError, match=r"device device1: its certificate was valid until .* with a new key"):
        line.issue(Clock(late))
    assert rows(line.factory)[0].certificate is None


def test_a_clock_from_before_the_authority_issues_nothing(line: Line) -> None:
    with pytest.raises(StationError, match="set this station's clock"):
        line.issue(Clock(NOW - 400 * DAY))
    assert rows(line.factory) == []


@pytest.mark.judge
@pytest.mark.parametrize(
    ("shift", "code", "code_when_right"), [("-1d", 0, 0), ("+1d", 0, 1), ("+400d", 0, 1), ("-400d", 1, 0)]
)
def test_the_whole_command_by_another_clock(shift: str, code: int, code_when_right: int, factory: Factory) -> None:
    request = factory.home / "device.csr.pem"
    request.write_bytes(csr(p256()))
    order = factory.order("device1", "--csr", request)
    command = order[: order.index("--factory")] + order[order.index("--factory") + 2 :]
    ran = by_the_clock(shift, factory, *command)
    days = int(shift.removesuffix("d"))
    there = datetime.now(UTC) + days * DAY
    assert ran.code == code, ran.err
    assert broken_rules(factory, [ran], device="device1", now=there) == []
    right = provisioning(*order)
    assert right.code == code_when_right, right.err
    assert "Traceback" not in right.err
    assert ("device1" in right.err) == bool(code_when_right)
    again = by_the_clock(shift, factory, *command) if code_when_right else provisioning(*order)
    assert (again.code, again.out) == (0, ran.out if code_when_right else right.out)
    if days > 0:
        later = provisioning(*factory.order("device2", "--generate-key"))
        assert later.code == 0
        audit = provisioning(
            *("audit", "--stack", "dev", "--factory", factory.folder, "--authorities", factory.authorities, "--json")
        )
        assert audit.code == 1
        assert "clock" in audit.out, "the audit says that the clock was ahead"
