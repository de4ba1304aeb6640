"""What is asked for is understood row by row, or everything wrong with it is told with file, line and column."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from fleet.errors import RefusedError
from fleet.routing.csv_file import MAX_SHOWN, Problems
from fleet.routing.decisions import Asked, requested
from fleet.routing.places import Place, Places
from fleet.routing.requests import Defaults, Requests, WantedRow
from fleet.routing.residency import RESIDENCY_OF_COUNTRY
from fleet.routing.roster import RosterRow, read_roster
from fleet.routing.route import Kind
from fleet.routing.spool import Spool
from fleet.routing.target import DEFAULT, Target
from protocol.device_id import DeviceId
from stacks.environment import Residency

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
SOON = datetime(2026, 5, 4, 18, 0, tzinfo=UTC)
PLACES = Places(
    domain="iot.example.com",
    clusters={
        name: Place(
            kind="managed",
            residency=residency,
            server_name=f"{name}.clusters.iot.example.com",
            max_connections=500_000,
            max_connects_per_second=500,
        )
        for name, residency in (("eu1", "EU"), ("us1", "US"))
    },
    default=("eu1",),
    default_follows_the_place=False,
    pins={"ferry": Target(cluster="us1")},
)
US = Target(cluster="us1")


def read(tmp_path: Path, text: str | bytes, *, owner: str = "operations") -> list[WantedRow]:
    path = tmp_path / "moves.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    problems = Problems("moves.csv")
    defaults = Defaults(owner=owner, reason="a test")
    rows = list(Requests(PLACES, defaults, NOW, problems).read(path))
    problems.raise_any()
    return rows


def test_a_row_says_all_there_is_to_say(tmp_path: Path) -> None:
    text = (
        "device,target,kind,owner,reason,expires,returns_to\r\n"
        'device1,us1,debug,lab,"it drops, often",2026-05-04T20:00:00+02:00,default\r\n'
    )
    assert read(tmp_path, text) == [
        WantedRow(DeviceId("device1"), 2, US, Kind.DEBUG, "lab", "it drops, often", SOON, DEFAULT)
    ]


def test_what_a_row_leaves_out_the_options_give(tmp_path: Path) -> None:
    text = "\ufefftarget,device,owner\nus1,device1,\n\ndefault,device2,lab\n"
    assert [(row.device, row.line, row.target, row.owner) for row in read(tmp_path, text)] == [
        ("device1", 2, US, "operations"),
        ("device2", 4, DEFAULT, "lab"),
    ], "a byte order mark, an empty line and another order of columns change nothing"


def test_a_quoted_line_break_does_not_shift_the_lines(tmp_path: Path) -> None:
    with pytest.raises(RefusedError) as told:
        read(tmp_path, 'device,target,reason\na,us1,"two\nlines"\nb,eu9,x\n')
    assert [line.split(": ")[0] for line in str(told.value).splitlines()] == ["moves.csv:2", "moves.csv:4"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "moves.csv:1: column device: is missing"),
        ("device\na\n", "moves.csv:1: column target: is missing"),
        ("device,target,cluster\na,us1,x\n", "moves.csv:1: column 'cluster': is unknown"),
        ("device,target,target\na,us1,us1\n", "moves.csv:1: column target: is named twice"),
        ("device,target\na\n", "moves.csv:2: column target: the row has 1 of 2 fields"),
        ("device,target\na,us1,\n", "moves.csv:2: column 3: the row has 3 of 2 fields"),
        ('device,target\na,"us1\n', "moves.csv:2: column 3: is not CSV"),
        ('device,target\na,us1\nb,"us1"x\n', "moves.csv:3: column 8: is not CSV"),
        ('device,target\na,"u""s1\n\n"x,b\n', "moves.csv:4: column 2: is not CSV"),
        (f"device,target\na,{'x' * 131_073}\n", "moves.csv:2: column 3: is not CSV"),
        (b"device,target\na,us1\nb,\xff\n", "moves.csv:3: column 3: is not UTF-8"),
        ("device,target\nA,us1\n", "moves.csv:2: column device: device id 'A' has capitals"),
        ("device,target\n,us1\n", "moves.csv:2: column device: a device id is empty"),
        ("device,target\na,\n", "moves.csv:2: column target: '' is no target"),
        ("device,target\na,eu9\n", "moves.csv:2: column target: there is no cluster eu9; name one of eu1, us1"),
        ("device,target\na,192.0.2.1\n", "moves.csv:2: column target: 192.0.2.1 is an address"),
        ("device,target\nferry,us1\n", "moves.csv:2: column device: ferry is pinned"),
        ("device,target,kind\na,us1,party\n", "moves.csv:2: column kind: 'party' is no kind"),
        ("device,target,kind\na,us1,debug\n", "moves.csv:2: column expires: is empty, and a debug redirect must end"),
        ("device,target,expires\na,us1,soon\n", "moves.csv:2: column expires: 'soon' is no time"),
        ("device,target,expires\na,us1,2026-05-04T18:00\n", "moves.csv:2: column expires: '2026-05-04T18:00' names no"),
        ("device,target,expires\na,us1,2026-05-04T12:00Z\n", "moves.csv:2: column expires: 2026-05-04T12:00Z is past"),
        ("device,target,returns_to\na,us1,eu1\n", "moves.csv:2: column returns_to: is given without an expiry"),
        (
            "device,target,expires,returns_to\na,us1,2026-05-04T18:00Z,192.0.2.1\n",
            "moves.csv:2: column returns_to: 192.0.2.1 is an address",
        ),
        ('device,target,owner\na,us1," "\n', "moves.csv:2: column owner: is empty"),
        (f"device,target,reason\na,us1,{'x' * 201}\n", "moves.csv:2: column reason: has 201 characters"),
    ],
)
def test_a_wrong_file_is_refused_with_line_and_column(tmp_path: Path, text: str | bytes, told: str) -> None:
    with pytest.raises(RefusedError) as error:
        read(tmp_path, text)
    assert str(error.value).startswith(told)
    assert "; " in str(error.value), "and the way out"


def test_an_owner_is_needed_from_the_row_or_the_option(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="column owner: is empty"):
        read(tmp_path, "device,target\na,us1\n", owner="")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=r"moves\.csv: cannot be read"):
        list(Requests(PLACES, Defaults(owner="o", reason="r"), NOW, Problems("moves.csv")).read(tmp_path / "moves.csv"))


@pytest.mark.parametrize(("wrong", "more"), [(MAX_SHOWN, 0), (MAX_SHOWN + 1, 1), (100, 80)])
def test_the_first_problems_are_told_and_the_others_counted(tmp_path: Path, wrong: int, more: int) -> None:
    with pytest.raises(RefusedError) as error:
        read(tmp_path, "device,target\n" + "a,eu9\n" * wrong)
    told = str(error.value).splitlines()
    assert [line.split(":")[1] for line in told[:MAX_SHOWN]] == [str(number) for number in range(2, 2 + MAX_SHOWN)]
    assert told[MAX_SHOWN:] == ([f"moves.csv: and {more} more"] if more else [])


def asked(tmp_path: Path, text: str, *known: str) -> list[Asked]:
    rows = read(tmp_path, text)
    problems = Problems("moves.csv")
    with Spool.open(PLACES.clusters, tmp_path) as spool:
        spool.put_listed("eu1", [(device, "fl100") for device in known], is_roster=True)
        spool.put_wanted(rows)
        found = list(requested(spool, problems))
    problems.raise_any()
    return found


def test_rows_that_agree_are_one(tmp_path: Path) -> None:
    assert [each.device for each, _ in asked(tmp_path, "device,target\nb,us1\na,us1\nb,us1\n", "a", "b")] == ["a", "b"]


def test_rows_that_disagree_are_refused_with_both_lines(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=r"moves\.csv:4: column device: b is asked for otherwise in line 2"):
        asked(tmp_path, "device,target\nb,us1\na,us1\nb,eu1\n", "a", "b")


def test_a_device_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=r"moves\.csv:3: column device: device b is not in the fleet"):
        asked(tmp_path, "device,target\na,us1\nb,us1\n", "a")


def roster(tmp_path: Path, text: str) -> list[RosterRow]:
    path = tmp_path / "fleet.csv"
    path.write_text(text, encoding="utf-8")
    problems = Problems("fleet.csv")
    with Spool.open(PLACES.clusters, tmp_path) as spool:
        rows = list(read_roster(path, tuple(Residency), problems))
        spool.put_roster(rows, problems)
    problems.raise_any()
    return rows


def test_a_roster_gives_each_device_the_residency_of_its_country_unless_it_says_another(tmp_path: Path) -> None:
    rows = roster(tmp_path, "device,model,country,residency\na,fl100,DE,\nb,,NO,US\nc,,BR,\nd,,,AP\n")
    assert [(row.device, row.model, row.residency) for row in rows] == [
        ("a", "fl100", "EU"),
        ("b", "", "US"),
        ("c", "", ""),
        ("d", "", "AP"),
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("device,place\na,DE\n", "fleet.csv:1: column 'place': is unknown"),
        ("device,country\na,Germany\n", "fleet.csv:2: column country: 'Germany' is no country code"),
        ("device,residency\na,MARS\n", "fleet.csv:2: column residency: 'MARS' is no residency; there are EU, US, AP"),
        ("device\nA\n", "fleet.csv:2: column device: device id 'A' has capitals"),
        ("device,country\na,DE\nb,DE\na,FR\n", "fleet.csv:4: column device: a is another in line 2"),
    ],
)
def test_a_wrong_roster_is_refused_with_line_and_column(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(RefusedError) as error:
        roster(tmp_path, text)
    assert str(error.value).startswith(told)


def test_countries_lead_to_residencies_that_there_are() -> None:
    assert set(RESIDENCY_OF_COUNTRY.values()) <= set(Residency)
    assert sum(residency == "EU" for residency in RESIDENCY_OF_COUNTRY.values()) == 27 + 3, (
        "the EU, and EFTA in the EEA"
    )
