"""A repair takes away what was seen, brings what the table says, as one more revision; nothing is left to find."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from fleet.routing.batches import Size
from fleet.routing.finding import Finding, Rule
from fleet.routing.holding import holdings
from fleet.routing.inspect import Inspection
from fleet.routing.plan import Change
from fleet.routing.record_set import RecordSet
from fleet.routing.repair import REPAIRED_RULES, repair
from fleet.routing.route import Kind, Route, State
from fleet.routing.target import DEFAULT, Target
from fleet.routing.zone import MAX_BATCH_RECORDS, Page
from tests.fleet.test_inspect import (
    DEPLOYED,
    DOMAIN,
    GATEWAY,
    NOW,
    PINS,
    PLANS,
    ROUTES,
    US,
    WILDCARD,
    ZONES,
    own,
    record,
    route,
)

OTHERS = [(f"d1.gw.{DOMAIN}", "A")]


def repaired(
    routes: Sequence[Route], zone: Sequence[RecordSet], others: Sequence[tuple[str, str]] = ()
) -> tuple[list[Finding], list[Change]]:
    """What is found in this world, and the changes that mend it."""
    inspection = Inspection(places=DEPLOYED, now=NOW, read_plan=PLANS.get)
    page = Page(tuple(zone), tuple(others), None, None)
    findings: list[Finding] = []
    changes: list[Change] = []
    with TemporaryDirectory() as folder:
        for holding in holdings(routes, [page], DOMAIN, Path(folder), always=DEPLOYED.pins):
            of_it = list(inspection.findings(holding))
            findings += of_it
            change = repair(holding, of_it, inspection, owner="on call")
            changes += [] if change is None else [change]
    return [*findings, *inspection.unfinished_plans()], changes


def the_change(routes: Sequence[Route], *zone: RecordSet) -> Change:
    _, (change,) = repaired(routes, [WILDCARD, *PINS, *zone])
    return change


def test_a_missing_record_comes_back_and_the_history_says_why() -> None:
    change = the_change([route("d1", reason="closer to its users")])
    assert (change.revision, change.removes, change.creates) == (4, (), (own("d1"),))
    assert change.reason == "closer to its users (repaired: missing)"


def test_a_second_repair_does_not_pile_up_notes() -> None:
    change = the_change([route("d1", reason="closer (repaired: drift, hides)")])
    assert change.reason == "closer (repaired: missing)"


def test_a_changed_record_goes_exactly_as_it_was_seen() -> None:
    wrong = replace(own("d1", GATEWAY), ttl=3600)
    change = the_change([route("d1")], wrong)
    assert (change.removes, change.creates) == ((wrong,), (own("d1"),))


def test_what_hides_the_wildcard_goes_with_what_is_below_the_name() -> None:
    hiding = (record("d1", "TXT", '"note"'), record("x.d1", "A", "192.0.2.1"))
    change = the_change([], *hiding)
    assert (change.revision, change.before, change.after) == (1, DEFAULT, DEFAULT)
    assert (set(change.removes), change.creates, change.owner) == (set(hiding), (), "on call")


def test_a_note_beside_a_right_record_goes_and_the_record_proves_it() -> None:
    note = record("d1", "TXT", '"note"')
    change = the_change([route("d1", GATEWAY)], own("d1", GATEWAY), note)
    assert (set(change.removes), change.creates) == ({note, own("d1", GATEWAY)}, (own("d1", GATEWAY),))


def test_a_repair_is_never_larger_than_one_batch() -> None:
    below = [record(f"x{number}.d1", "A", "192.0.2.1") for number in range(MAX_BATCH_RECORDS + 5)]
    change = the_change([route("d1")], *below)
    assert Size.of(change).records == MAX_BATCH_RECORDS
    assert Size.of(change).fits


def test_a_route_past_its_expiry_ends_where_it_returns_to() -> None:
    debug = route("d1", GATEWAY, kind=Kind.DEBUG, expires=NOW, returns_to=US)
    change = the_change([debug], own("d1", GATEWAY))
    assert (change.after, change.kind, change.expires) == (US, Kind.MOVE, None)
    assert (change.removes, change.creates) == ((own("d1", GATEWAY),), (own("d1", US),))


def test_an_expired_route_that_returns_to_where_it_is_loses_its_expiry() -> None:
    change = the_change([route("d1", US, expires=NOW, returns_to=US)], own("d1"))
    assert (change.after, change.expires, change.removes, change.creates) == (US, None, (), ())


def test_an_expired_route_to_a_cluster_that_is_no_more_ends_at_the_default() -> None:
    change = the_change([route("d1", GATEWAY, expires=NOW, returns_to=Target(cluster="gone"))], own("d1", GATEWAY))
    assert change.after == DEFAULT


def test_a_route_that_has_not_expired_keeps_its_end() -> None:
    end = NOW + timedelta(hours=1)
    change = the_change([route("d1", GATEWAY, kind=Kind.DEBUG, expires=end, returns_to=US)])
    assert (change.kind, change.expires, change.returns_to) == (Kind.DEBUG, end, US)


def test_what_pulumi_owns_is_never_touched() -> None:
    findings, changes = repaired([route("pinned1")], [replace(WILDCARD, ttl=1), record("desk1", "TXT", '"note"')])
    assert {finding.rule for finding in findings} == {Rule.WILDCARD, Rule.PINNED}
    assert changes == []


def test_a_device_with_an_alias_or_with_a_plan_under_way_is_left_alone() -> None:
    under_way = route("d2", state=State.PENDING, plan="begun")
    findings, changes = repaired([route("d1"), under_way], [WILDCARD, *PINS], OTHERS)
    assert len(findings) == 3
    assert changes == [], "the alias cannot be removed by us, the plan must be finished by itself"


def applied(
    routes: Sequence[Route], zone: Sequence[RecordSet], changes: Sequence[Change]
) -> tuple[list[Route], list[RecordSet]]:
    """The world after the changes, as the applier promises it; what it would refuse fails here."""
    table = {each.device: each for each in routes}
    left = list(zone)
    for change in changes:
        former = table.get(change.device)
        assert change.revision == (former.revision if former else 0) + 1
        for each in change.removes:
            left.remove(each)
        assert not {(each.name, each.type) for each in left} & {(each.name, each.type) for each in change.creates}
        left += change.creates
        table[change.device] = route(
            change.device,
            change.after,
            revision=change.revision,
            kind=change.kind,
            expires=change.expires,
            returns_to=change.returns_to,
        )
    return list(table.values()), left


@given(routes=ROUTES, zone=ZONES)
def test_after_a_repair_only_what_is_not_ours_to_mend_is_found(routes: list[Route], zone: list[RecordSet]) -> None:
    before, changes = repaired(routes, [WILDCARD, *zone])
    assert [change.device for change in changes] == sorted(change.device for change in changes)
    after, again = repaired(*applied(routes, [WILDCARD, *zone], changes))
    assert again == []
    under_way = {each.device for each in routes if each.state is State.PENDING and each.plan == "begun"}
    assert [each for each in after if each.rule in REPAIRED_RULES and each.device not in {*under_way, None}] == []
    assert {each for each in after if each.rule is Rule.PINNED} == {each for each in before if each.rule is Rule.PINNED}


TARGETS = st.sampled_from([US, GATEWAY, DEFAULT])


@given(targets=st.dictionaries(st.sampled_from(["d", "d-1", "d1"]), TARGETS))
def test_a_world_as_the_applier_leaves_it_needs_no_repair(targets: dict[str, Target]) -> None:
    zone = [own(device, target) for device, target in targets.items() if target != DEFAULT]
    routes = [route(device, target) for device, target in targets.items()]
    assert repaired(routes, [WILDCARD, *PINS, *zone]) == ([], [])
