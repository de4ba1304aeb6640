"""The plan that moves devices back: exactly what the plan before it changed, for exactly those devices."""

from datetime import UTC, datetime
from pathlib import Path

from fleet.routing.following import RETURNED
from fleet.routing.plan import Change
from fleet.routing.plan_file import Plan, write_plan
from fleet.routing.returning import returns_of, write_return
from fleet.routing.route import Kind, Route, State
from fleet.routing.target import DEFAULT, Target
from protocol.device_id import DeviceId
from tests.fleet.applying import World
from tests.fleet.plans import change, header

NOW = datetime(2026, 5, 4, 13, tzinfo=UTC)
LATER = datetime(2026, 5, 5, tzinfo=UTC)
EU, US = Target(cluster="eu1"), Target(cluster="us1")
GATEWAY = Target(address="192.0.2.100")


def history(device: DeviceId) -> tuple[Route, ...]:
    """Device d2 was at a gateway for a while, as its revision 4."""
    if device != "d2":
        return ()
    return tuple(
        Route(
            device=device,
            revision=revision,
            target=GATEWAY,
            kind=Kind.DEBUG,
            owner="firmware",
            reason="a look inside",
            expires=LATER,
            returns_to=EU,
            state=State.POINTED,
            changed_by="me",
            changed_at=NOW,
            plan="c" * 64,
        )
        for revision in (3, 4)
    )


def plan(folder: Path) -> Plan:
    changes = [change("d1", DEFAULT, US), change("d2", GATEWAY, US, revision=5), change("d3", EU, US, revision=2)]
    return write_plan(folder / "move.plan", header(), changes)


def returned(made: Plan, *devices: str) -> list[Change]:
    reasons = {DeviceId(device): f"{device} vanished" for device in devices}
    return list(write_return(made, reasons, history, made_by="me", now=NOW).changes())


def test_each_device_gets_back_what_it_had_and_the_others_are_left_alone(tmp_path: Path) -> None:
    made = plan(tmp_path)
    back = returned(made, "d1", "d2")
    assert [each.device for each in back] == ["d1", "d2"]
    for before, after in zip(made.changes(), back, strict=False):
        assert (after.before, after.after) == (before.after, before.before)
        assert (after.removes, after.creates) == (before.creates, before.removes), "the zone is as it was"
        assert after.revision == before.revision + 1
        assert after.reason == f"{RETURNED}{after.device} vanished"
    assert (back[0].kind, back[0].expires, back[0].returns_to) == (Kind.MOVE, None, DEFAULT)
    assert (back[1].kind, back[1].expires, back[1].returns_to) == (Kind.DEBUG, LATER, EU), "it still ends when it did"


def test_carried_out_it_leaves_the_zone_as_it_was_before_the_plan(tmp_path: Path) -> None:
    world = World()
    made = write_plan(tmp_path / "move.plan", header(), world.changes)
    world.applier().apply(made)
    assert world.zone.record_sets != world.started_with
    reasons = {change.device: "it vanished" for change in world.changes}
    back = write_return(made, reasons, world.table.history, made_by="me", now=world.time.now)
    world.applier().apply(back)
    assert world.zone.record_sets == world.started_with
    world.applier().apply(back)
    for each in world.changes:
        assert len(world.table.history(each.device)) == each.revision + 1, "once, however often it is applied"


def test_what_has_expired_meanwhile_is_not_brought_back(tmp_path: Path) -> None:
    reasons = {DeviceId("d2"): "it vanished"}
    (back,) = write_return(plan(tmp_path), reasons, history, made_by="me", now=LATER).changes()
    assert (back.before, back.after, back.expires, back.kind) == (US, EU, None, Kind.MOVE)
    assert back.creates == change("d2", US, EU).creates


def test_a_rerun_finds_the_returns_of_its_plan_in_their_order_and_nothing_else(tmp_path: Path) -> None:
    made = plan(tmp_path)
    other = write_plan(tmp_path / "other.plan", header(request="another"), [change("d9", EU, US)])
    assert returns_of(made) == []
    for device in ("d3", "d1"):
        returned(made, device)
    returned(other, "d9")
    write_plan(tmp_path / "move.plan.back-7", header(undoes="f" * 64), [change("d9", US, EU)])
    (tmp_path / "move.plan.back-up").write_text("of somebody's own")
    assert [[each.device for each in back.changes()] for back in returns_of(made)] == [["d3"], ["d1"]]
    assert all(back.header.undoes == made.digest for back in returns_of(made))
