"""What people see of long work: lines in a log, and results that fit a screen."""

import json

import pytest

from provisioning.commands.progress import counted, reached
from provisioning.commands.telling import MOST_ROWS, RowTeller


def test_a_log_gets_a_line_now_and_then_with_rate_and_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    times = iter([0.0, 5.0, 10.0, 12.0, 20.0])
    with counted("telling", 100, monotonic=lambda: next(times)) as advance:
        for _ in range(4):
            advance(20)
    assert capsys.readouterr().err == ("telling: 40 of 100, 4/s, 0:00:15 left\ntelling: 80 of 100, 4/s, 0:00:05 left\n")


def test_work_that_says_how_much_there_is_only_on_its_way_is_told_alike(capsys: pytest.CaptureFixture[str]) -> None:
    times = iter([0.0, 0.0, 10.0])
    with reached("auditing", monotonic=lambda: next(times)) as progress:
        progress(10, 100)
        progress(50, 100)
    assert capsys.readouterr().err == "auditing: 50 of 100, 5/s, 0:00:10 left\n"


def rows(count: int, *, as_json: bool) -> None:
    with RowTeller("told", as_json=as_json, summed_up_by=("cluster",)) as teller:
        for number in range(count):
            teller.tell({"cluster": "eu1", "device": f"device-{number}"})


@pytest.mark.parametrize("count", [0, 1, MOST_ROWS + 1])
def test_machines_get_one_document_however_many_there_are(count: int, capsys: pytest.CaptureFixture[str]) -> None:
    rows(count, as_json=True)
    told = json.loads(capsys.readouterr().out)["told"]
    assert [row["device"] for row in told] == [f"device-{number}" for number in range(count)]


def test_people_get_each_row_of_a_few_and_the_kinds_of_many(capsys: pytest.CaptureFixture[str]) -> None:
    rows(MOST_ROWS, as_json=False)
    assert f"device-{MOST_ROWS - 1}" in capsys.readouterr().out
    rows(MOST_ROWS + 1, as_json=False)
    out = capsys.readouterr().out
    assert "device-0" not in out
    assert "eu1" in out
    assert str(MOST_ROWS + 1) in out
