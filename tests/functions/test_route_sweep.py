"""The scheduled sweep on stack dev: what it takes back, what it leaves and says, and how it ends before its time."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from botocore.stub import Stubber

from fleet.errors import UnfinishedError
from fleet.routing.route import Kind
from fleet.routing.target import DEFAULT
from functions.route_sweep import OutOfTimeError, Run, Settings, overdue, read_pins
from local.deployment import Deployment
from tests.functions.sweep_bench import DESK, Bench, now

pytestmark = pytest.mark.cloud
NOBODY = "http://127.0.0.1:9"
"""Where nothing answers: the discard port."""


@pytest.fixture
def bench(dev_desk: Deployment) -> Iterator[Bench]:
    bench = Bench(dev_desk)
    yield bench
    plan = bench.shelf.read()
    assert plan is None, "what a test leaves unfinished the next one would meet"


def test_expired_redirects_go_home_and_their_history_stays(bench: Bench) -> None:
    devices = bench.redirect("swept1", "swept2")
    said = bench.run()
    assert (said["swept"], said["overdue"], said["left"]) == (2, [], {})
    for device in devices:
        assert bench.addresses(device) == [], "the wildcard answers again"
        first, second = bench.table.history(device)
        assert (first.target, first.kind, first.owner) == (DESK, Kind.DEBUG, "firmware-team")
        assert (second.target, second.expires, second.changed_by) == (DEFAULT, None, "tests")


def test_a_run_with_nothing_to_do_changes_nothing_and_still_tells_its_counts(bench: Bench) -> None:
    before = {metric: bench.told(metric) for metric in ("RoutesOverdue", "RoutesSwept")}
    assert bench.run() == {"left": {}, "swept": 0, "overdue": []}
    for metric, (times, total) in before.items():
        assert bench.told(metric) == (times + 1, total), "without a zero the alarm takes the sweep for dead"


def test_a_run_that_is_out_of_time_stops_at_a_wait_and_the_next_one_finishes_it(bench: Bench) -> None:
    (device,) = bench.redirect("late1")
    said = bench.run(left=timedelta(milliseconds=500))
    assert "the next run goes on" in said["waits"]
    assert (said["swept"], said["overdue"]) == (0, ["late1"]), "nothing proves yet that it went home"
    assert bench.shelf.read() is not None
    assert bench.run() == {"left": {}, "swept": 1, "overdue": []}
    assert bench.addresses(device) == []
    assert len(bench.table.history(device)) == 2, "once, although two runs worked on it"


def test_a_person_who_applies_a_plan_goes_first_and_that_is_no_fault(bench: Bench) -> None:
    bench.redirect("waits1")
    bench.table.claim_zone("plan-of-a-person", "operator", now=now(), until=now() + timedelta(minutes=5))
    try:
        said = bench.run()
        assert "the zone is being changed by operator" in said["waits"]
        assert said["overdue"] == ["waits1"]
    finally:
        bench.table.release_zone("plan-of-a-person")
    assert bench.run()["swept"] == 1


def test_a_fault_is_told_after_the_counts_and_heals_by_itself(bench: Bench) -> None:
    bench.redirect("faulty1")
    times, total = bench.told("RoutesOverdue")
    broken = replace(bench.cloud, route53=bench.client("route53", NOBODY))
    with pytest.raises(UnfinishedError, match="Route 53 puts every request off"):
        bench.run(broken)
    assert bench.told("RoutesOverdue") == (times + 1, total + 1), "its alarm does not wait for the repair"
    assert bench.run()["swept"] == 1


def test_a_pinned_device_is_left_alone_and_named(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    (device,) = bench.redirect("became-pinned")
    with monkeypatch.context() as patch:
        patch.setattr("functions.route_sweep.read_pins", lambda *_: frozenset({device}))
        said = bench.run()
    assert (said["swept"], said["overdue"]) == (0, [device])
    assert "pinned" in said["left"][device]
    assert bench.addresses(device) == [DESK.address]
    assert bench.run()["swept"] == 1


def test_the_program_tells_the_sweep_which_devices_are_pinned(bench: Bench) -> None:
    pins = read_pins(bench.client("dynamodb"), bench.settings.route_table)
    assert pins == bench.outputs.routing.pins.keys()
    assert pins, "stack dev pins some"


def test_without_the_programs_pins_nothing_is_swept(bench: Bench) -> None:
    client = bench.client("dynamodb")
    with Stubber(client) as stub:
        stub.add_response("get_item", {})
        with pytest.raises(UnfinishedError, match="no item #pins, so nothing is swept; deploy again"):
            read_pins(client, "routes")


def test_a_redirect_that_has_not_expired_stays(bench: Bench) -> None:
    (device,) = bench.redirect("early1", ends=timedelta(minutes=1))
    assert bench.run() == {"left": {}, "swept": 0, "overdue": []}
    assert bench.addresses(device) == [DESK.address]
    assert overdue(bench.table, bench.shelf, now=now() + timedelta(minutes=2)) == {device}, "a minute after its end"


@pytest.mark.parametrize(("seconds", "fits"), [(10.0, True), (10.001, False)])
def test_a_wait_up_to_the_deadline_is_waited_and_no_longer_one(seconds: float, *, fits: bool) -> None:
    start = datetime(2026, 11, 24, tzinfo=UTC)
    slept: list[float] = []
    sleep: Callable[[float], None] = slept.append
    run = Run(holder="tests", deadline=start + timedelta(seconds=10), clock=lambda: start, sleep=sleep)
    if fits:
        run.wait(seconds)
    else:
        with pytest.raises(OutOfTimeError):
            run.wait(seconds)
    assert slept == ([seconds] if fits else [])


def test_settings_that_are_missing_are_named() -> None:
    with pytest.raises(KeyError, match="ZONE_ID"):
        Settings.read({"ENVIRONMENT": "dev", "DOMAIN": "iot.example.com"})
