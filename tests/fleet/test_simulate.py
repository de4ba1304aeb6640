"""`fleet simulate`, and the picture in the docs, which is what it draws."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from fleet.cli import app
from fleet.outage.backlog import backlog
from fleet.outage.broker import BROKERS
from fleet.outage.course import Course, Run
from fleet.outage.picture import draw
from fleet.outage.policy import policies
from fleet.outage.publishing import PUBLISHES_PER_SECOND, scheduled, synchronized
from fleet.outage.simulation import Outage, simulate
from protocol.buffer_room import lasts, rows_held

COMMITTED = Path(__file__).resolve().parents[2] / "docs" / "outage.svg"
MILLION = Outage(devices=1_000_000, connects_per_second=500, seconds=1800)
SMALL = ["simulate", "--devices", "5000", "--connects-per-second", "50", "--outage", "5m"]


def run(outage: Outage, policy: str, broker: str) -> Run:
    chosen = policies(outage.devices, outage.connects_per_second)[policy]
    course = simulate(outage, chosen, BROKERS[broker](outage.connects_per_second), np.random.default_rng(1))
    return Run(chosen, broker, course)


def curves(svg: str) -> dict[str, str]:
    """The path of every curve that has an id."""
    return dict(re.findall(r'<g id="((?:connects|back|publishes)[a-z-]*)">\s*<path d="([^"]+)"', svg))


def test_the_picture_in_the_docs_is_what_the_program_draws(tmp_path: Path) -> None:
    """Drawn again with: python -m fleet simulate --devices 1000000 --outage 30m --svg docs/outage.svg."""
    runs = [run(MILLION, "contract", "refuses"), run(MILLION, "wide-then-backoff", "refuses")]
    runs.append(run(MILLION, "contract", "queues"))
    quiet = scheduled(MILLION.devices, 600, np.random.default_rng(1))
    draw(MILLION, runs, quiet, synchronized(MILLION.devices, 600), tmp_path / "again.svg")
    again, committed = curves((tmp_path / "again.svg").read_text()), curves(COMMITTED.read_text())
    assert len(again) == 6, "two of connects, three of who is back, one of publishes"
    assert len(committed) == 16, "five policies, three times, and the publishes"
    assert {name: committed[name] for name in again} == again


def test_the_same_outage_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one.svg", "two.svg"):
        assert CliRunner().invoke(app, [*SMALL, "--svg", str(tmp_path / name)]).exit_code == 0
    one = (tmp_path / "one.svg").read_bytes()
    assert one == (tmp_path / "two.svg").read_bytes()
    assert CliRunner().invoke(app, [*SMALL, "--seed", "2", "--svg", str(tmp_path / "other.svg")]).exit_code == 0
    assert one != (tmp_path / "other.svg").read_bytes()


def test_the_smallest_fleet_has_a_picture_too(tmp_path: Path) -> None:
    alone = ["simulate", "--devices", "1", "--outage", "0s", "--svg", str(tmp_path / "one.svg")]
    assert CliRunner().invoke(app, alone).exit_code == 0, "a scale of no width is a warning, and those are errors here"


def test_one_table_compares_every_policy_and_says_who_keeps_the_quota() -> None:
    result = CliRunner().invoke(app, [*SMALL, "--compare", "--json"])
    assert result.exit_code == 0
    rows = {row["policy"]: row for row in json.loads(result.stdout)["policies"]}
    assert set(rows) == set(policies(1, 1))
    assert rows["contract"]["is_within_quota"]
    assert rows["contract"]["devices_back"] == 5000
    assert rows["contract"]["rows_lost"] == 0
    for name in ("fixed", "no-jitter", "equal-jitter", "full-jitter", "decorrelated", "publish-schedule"):
        assert not rows[name]["is_within_quota"], name
    spoken = CliRunner().invoke(app, [*SMALL, "--compare"], env={"COLUMNS": "140"})
    assert spoken.stdout.count("BROKEN") >= 6
    assert "contract" in spoken.stdout


@pytest.mark.parametrize("terminal", [{}, {"FORCE_COLOR": "1"}])
def test_no_name_and_no_number_of_the_comparison_is_split_over_two_lines(terminal: dict[str, str]) -> None:
    """In a log, and in a terminal of 80 characters."""
    result = CliRunner().invoke(app, [*SMALL, "--compare"], env={"COLUMNS": "80", **terminal})
    for whole in ("wide-then-backoff", "publish-schedule", "decorrelated", "connects/s", "5,000", "only 3,000"):
        assert whole in result.stdout


def test_a_small_quota_is_watched_for_as_long_as_its_window_takes() -> None:
    """At 20 connects/s the window is more than twice the ideal: what is wide must not count as lost."""
    told = run(Outage(devices=10_000, connects_per_second=20, seconds=0), "contract", "refuses").course
    assert told.recovery == pytest.approx(2.36, abs=0.01)
    assert told.peak <= 20


def test_one_policy_is_told_with_what_became_of_its_readings() -> None:
    result = CliRunner().invoke(app, [*SMALL, "--policy", "decorrelated", "--broker", "queues", "--json"])
    told = json.loads(result.stdout)
    assert (told["policy"], told["broker"], told["ideal_seconds"]) == ("decorrelated", "queues", 100.0)
    assert told["rows_delayed"] > 5000 * 300, "everyone sampled through five minutes"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (["--outage", "soon"], "'soon' is no time; write a whole number and its unit, such as 90s, 30m or 2h"),
        (["--outage", "-5m"], "is no time"),
        (["--outage", "169h"], "longer than a week; choose at most 168h"),
        (["--policy", "hope"], "there is no policy hope; choose one of contract, "),
        (["--svg", "nowhere/at/all.svg"], "nowhere/at is no folder; make it first"),
        (["--svg", "docs"], "--svg: docs is a folder; name a file to write"),
        (["--devices", "0"], "--devices"),
        (["--connects-per-second", "0"], "--connects-per-second"),
    ],
)
def test_what_cannot_be_simulated_is_refused(changed: list[str], said: str) -> None:
    result = CliRunner().invoke(app, [*SMALL, *changed], env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert said in result.stderr


def away(*seconds: float) -> Course:
    """Devices back after so many seconds, of a watch of 100,000."""
    count = len(seconds)
    nothing = np.zeros(100_000, dtype=np.int64)
    return Course(count, 1, 0, nothing, np.array(seconds), np.ones(count, dtype=np.int64))


def test_a_buffer_keeps_every_row_until_it_is_half_full_then_thins_out_and_loses_the_oldest_last() -> None:
    room = rows_held()
    whole = int(lasts().total_seconds())
    assert whole == room // 2, "at a row a second"
    told = backlog(away(10.5, whole))
    assert (told.delayed, told.thinned, told.lost) == (10 + whole, 0, 0)
    assert told.fullest == pytest.approx(0.5, abs=1e-4)
    assert backlog(away(whole + 2)).thinned == 1, "one in two is kept from here on"
    full = backlog(away(10, 2.4 * room))
    assert (full.delayed, full.lost, full.fullest) == (10 + room, 0, 1.0)
    beyond = backlog(away(2.4 * room + 80))
    assert (beyond.delayed, beyond.lost) == (room, 10), "one in eight is kept, in the place of the oldest"
    assert beyond.delayed + beyond.thinned + beyond.lost == int(2.4 * room + 80), "every row is accounted for"
    unseen = backlog(away(float("nan")), buffer_bytes=1 << 20)
    assert unseen.delayed + unseen.thinned + unseen.lost == 100_000, "one still away counts to the end of the watch"
    assert unseen.lost > 0


def test_the_schedule_spreads_a_fleet_that_started_together_below_the_quota() -> None:
    together = synchronized(1_000_000, 600)
    assert together.max() == 1_000_000
    assert together.sum() == 10 * 1_000_000, "a batch a minute"
    quiet = scheduled(1_000_000, 600, np.random.default_rng(1))
    assert quiet[420:].max() < PUBLISHES_PER_SECOND, "from the seventh minute on"
    assert quiet[420:].mean() == pytest.approx(1_000_000 / 60, rel=0.02)
    assert quiet[1:].max() < 35_000, "never more than 1,000,000 / 30 a second after the start"
