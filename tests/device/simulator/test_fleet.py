"""A small fleet of real agents through everything, against mosquitto: what was measured is stored once, in order."""

import errno
import json
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from device.__main__ import app
from device.resolution import Route
from device.simulator.conditions import Harm
from device.simulator.fleet import Fleet, FleetLostError, is_touched
from device.simulator.identities import Authority, make_devices, window_of
from device.simulator.own_ground import DOMAIN, OwnGround
from device.simulator.report import KIB_A_DEVICE, KIB_AT_START, SLOWEST_ANSWER_SECONDS, Report, make_report
from device.simulator.scenario import (
    EVERYTHING,
    FLAP,
    OUTAGE,
    SKEW,
    SLOW_LINK,
    Expectation,
    Scenario,
    one_after_another,
)
from device.simulator.simulate import Order, simulate
from fleet.outage.broker import RefusingBroker
from fleet.outage.policy import policies
from fleet.outage.simulation import Outage
from fleet.outage.simulation import simulate as modelled
from protocol.bundle import BUNDLE_FILE
from protocol.device_id import DeviceId, parse_device_id

pytestmark = [pytest.mark.judge, pytest.mark.timeout(600)]

QUOTA = 20
PACE = 90.0
"""What forty devices and a broker keep up with on a machine that does something else as well."""


def left_alone(_ground: OwnGround) -> None:
    """As it is."""


def run(
    folder: Path,
    scenario: Scenario,
    devices: int,
    spoil: Callable[[OwnGround], None] = left_alone,
    **order: Any,
) -> tuple[Report, Fleet]:
    ground = OwnGround(folder / "clusters", lambda: datetime.now(UTC))
    folders = list(
        make_devices(
            folder / "devices",
            [parse_device_id(f"simulated{number}") for number in range(devices)],
            ground.authority.issue,
            anchors=ground.authority.write(folder / "anchors.pem"),
            domain=DOMAIN,
            reconnect_window=window_of(devices, QUOTA),
            now=datetime.now(UTC),
        )
    )
    spoil(ground)
    asked = Order(scenario=scenario, connects_per_second=QUOTA, **({"pace": PACE} | order))
    return simulate(asked, lambda: ground, folders, lambda _look, _doing: None)


def broken(report: Report) -> list[str]:
    return [f"{finding.rule}: {finding.detail}" for finding in report.findings if not finding.holds]


def test_a_fleet_with_durable_buffers_delivers_each_row_once_through_everything_that_happens(tmp_path: Path) -> None:
    """Killed broker, a cut longer than the session, loss, NAT, rotation, and at last another cluster, in one life."""
    report, fleet = run(tmp_path, EVERYTHING, 40, on_disk=True)
    assert broken(report) == []
    assert report.numbers["rows_measured"] > 40 * 130, "about one in ten seconds, for half an hour of theirs"
    assert report.numbers["reconnects"] > 40 * 5
    assert sum(device["rows_stored"] for device in report.devices) == report.numbers["rows_measured"]
    fleet.connects_per_second = 1
    storms = [rule for rule in broken(make_report(fleet, pace=PACE, grown_kib=1)) if "the quota is 1" in rule]
    assert [storm.split(": ")[0] for storm in storms] == ["outage", "cut", "rotation", "region-loss"], "each is judged"


def test_a_fleet_in_memory_bears_flaps_wrong_clocks_and_a_slow_link(tmp_path: Path) -> None:
    grounds: list[OwnGround] = []
    report, _ = run(tmp_path, one_after_another("more", FLAP, SKEW, SLOW_LINK), 40, grounds.append)
    assert broken(report) == []
    assert 0 < grounds[0].arrivals.clockless_rows < report.numbers["rows_measured"], "two clocks in ten were lost"


def test_what_is_not_stored_is_found_however_well_the_devices_think_of_it(tmp_path: Path) -> None:
    def forgetful(ground: OwnGround) -> None:
        take, count = ground.arrivals.take, iter(range(10_000))
        ground.arrivals.take = lambda wire: take(wire) if next(count) != 5 else None  # type: ignore[method-assign]

    calm = Scenario(name="calm", says="nothing happens", lasts=150)
    report, _ = run(tmp_path, calm, 10, forgetful)
    assert broken(report) == ["every acknowledged row is stored, once: 1 devices have more or fewer"]


def test_a_fleet_comes_back_from_an_outage_as_the_model_says(tmp_path: Path) -> None:
    """`fleet simulate` computes what these devices do, from the same rules; and a quota that they break is found."""
    pace = 40.0
    report, fleet = run(tmp_path, OUTAGE, 40, pace=pace)
    assert broken(report) == []
    outage = Outage(devices=40, connects_per_second=QUOTA, seconds=120)
    contract = policies(outage.devices, QUOTA)["contract"]
    model = modelled(outage, contract, RefusingBroker(QUOTA), np.random.default_rng(1))
    assert len({member.clock.now() for member in fleet.members}) == 1, "whenever they joined: else places are none"
    [story] = report.numbers["stories"]
    after = story["seconds_until_all_back"]
    assert after == pytest.approx(model.seconds_until_back(1), rel=0.15, abs=pace * SLOWEST_ANSWER_SECONDS)
    tries = report.numbers["attempts"] / 40 - 1
    assert tries == pytest.approx(model.attempts_a_device, rel=0.15), "beside the one with which each began"

    def found(grown_kib: int = 1) -> list[str]:
        return broken(make_report(fleet, pace=pace, grown_kib=grown_kib))

    fleet.connects_per_second = 1
    peak = story["peak_attempts_per_second_once_restored"]
    assert found() == [
        f"outage: the return stays below the quota: at most {peak:,} connects in a second; the quota is 1"
    ]
    fleet.connects_per_second = QUOTA
    bound = KIB_AT_START + 40 * KIB_A_DEVICE
    assert found(bound) == []
    assert found(bound + 1) == [f"memory stays within its bound: {bound + 1:,} of {bound:,} KiB"]
    [passage] = fleet.course.passages
    passage.story = replace(OUTAGE, expects=Expectation(harms=frozenset({Harm.LOST})))
    assert found() == ["outage: something stood still for a lost segment: 0 times"]


def test_a_fleet_that_cannot_connect_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("device.simulator.fleet.PATIENCE", timedelta(seconds=60))

    def locked_out(ground: OwnGround) -> None:
        ground.reach = lambda _name: None  # type: ignore[method-assign,assignment]

    calm = Scenario(name="calm", says="nothing happens", lasts=30)
    with pytest.raises(FleetLostError, match=r"3 of 3 devices do not get through to eu1\.clusters.*502 Bad Gateway"):
        run(tmp_path, calm, 3, locked_out)


def test_an_agent_that_breaks_down_is_told_of_and_not_waited_for(tmp_path: Path) -> None:
    async def broken(_device: DeviceId, _domain: str) -> Route:
        raise ValueError("a mistake of the program")

    def break_names(ground: OwnGround) -> None:
        ground.resolve = broken  # type: ignore[method-assign,assignment]

    calm = Scenario(name="calm", says="nothing happens", lasts=30)
    with pytest.raises(FleetLostError, match=r"simulated0: its agent broke down: ValueError\('a mistake of"):
        run(tmp_path, calm, 3, break_names)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda _bundle: None, "--dns: 'nonsense' is no IP address"),
        (lambda bundle: bundle.write_bytes(b"\xff\xfe"), "device1/bundle.json: the document: Invalid JSON"),
        (lambda bundle: bundle.write_text("{}"), "device1/bundle.json: device: Field required"),
    ],
)
def test_what_is_wrong_with_a_given_fleet_is_told_before_it_starts(
    tmp_path: Path, spoil: Callable[[Path], object], said: str
) -> None:
    authority = Authority.make(datetime.now(UTC))
    [folder] = make_devices(
        tmp_path,
        [parse_device_id("device1")],
        authority.issue,
        anchors=authority.write(tmp_path / "anchors.pem"),
        domain=DOMAIN,
        reconnect_window=window_of(1, QUOTA),
        now=datetime.now(UTC),
    )
    spoil(folder / BUNDLE_FILE)
    given = ["--bundles", str(tmp_path), "--fleet", "1", "--dns", "nonsense:9"]
    result = CliRunner().invoke(app, ["simulate", "--scenario", "flap", *given])
    assert result.exit_code == 2
    assert said in result.stderr


def test_the_same_devices_are_a_share_for_the_network_and_for_the_fleet() -> None:
    assert [number for number in range(20) if is_touched(number, 0.3)] == [0, 1, 2, 10, 11, 12]


def _on_a_full_disk(_course: Fleet, _path: Path) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_the_command_shows_what_must_hold_and_prints_every_device_as_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where its picture cannot be drawn: a run of minutes is not lost for it."""
    options = [
        "simulate",
        "--scenario",
        "rotation",
        "--fleet",
        "10",
        "--pace",
        "60",
        "--svg",
        str(tmp_path / "run.svg"),
    ]
    spoken = CliRunner().invoke(
        app, [*options, "--keep", "disk", "--svg", str(tmp_path / "run.svg")], env={"COLUMNS": "120"}
    )
    assert spoken.exit_code == 0, spoken.output
    assert "holds   every row that was measured is acknowledged" in spoken.stdout
    assert "largest buffer" in spoken.stdout
    assert (tmp_path / "run.svg").read_text().count("<svg") == 1
    monkeypatch.setattr("device.simulator.picture.draw", _on_a_full_disk)
    undrawn = CliRunner().invoke(app, [*options, "--json"])
    assert (undrawn.exit_code, "run.svg: No space left on device" in undrawn.stderr) == (1, True)
    told = json.loads(undrawn.stdout)
    assert told["holds"] is True
    assert len(told["devices"]) == told["devices_count"] == 10
    assert {device["rows_stored"] == device["rows_measured"] for device in told["devices"]} == {True}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--svg", "nowhere/at/all.svg"], "nowhere/at is no folder; make it first"),
        (["--svg", "/"], "/ is a folder; name a file in it"),
        (["--dns", "127.0.0.1:53"], "give the --bundles of its devices too"),
        (["--bundles", "nowhere"], "nowhere holds 0 bundles, and --fleet asks for 100"),
        (["--bundles", "nowhere", "--scenario", "region-loss"], "changed by `python -m fleet route`"),
        (["--fleet", "6000"], "--fleet"),
        (["--scenario", "hope"], "hope"),
    ],
)
def test_what_cannot_be_simulated_is_refused(options: list[str], said: str) -> None:
    result = CliRunner().invoke(app, ["simulate", "--scenario", "flap", *options], env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert said in result.stderr


def test_a_machine_without_mosquitto_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("device.simulator.mosquitto.PROGRAM", "no-such-broker")
    result = CliRunner().invoke(app, ["simulate", "--scenario", "flap"])
    assert result.exit_code == 2
    assert "scripts/install-judges" in result.stderr


def test_more_devices_than_this_user_may_have_files_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _kind: (256, 1_000))
    result = CliRunner().invoke(app, ["simulate", "--scenario", "flap", "--fleet", "400"])
    assert result.exit_code == 2
    assert "take at most 266 devices" in result.stderr.replace("\n", "")
