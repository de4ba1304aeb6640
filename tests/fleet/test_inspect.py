"""Each broken rule is found where it is broken, and nowhere else; held against a check of one question at a time."""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.routing.finding import Finding, Rule
from fleet.routing.holding import holdings
from fleet.routing.inspect import Inspection, wildcard_records
from fleet.routing.places import Place, Places
from fleet.routing.record_set import RecordSet, project
from fleet.routing.route import Kind, Route, State
from fleet.routing.route_table import PlanEntry, PlanProgress
from fleet.routing.target import DEFAULT, Target
from fleet.routing.zone import Page
from protocol.device_id import DeviceId

DOMAIN = "iot.example.com"
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
EU, US, GATEWAY = Target(cluster="eu1"), Target(cluster="us1"), Target(address="192.0.2.100")
DEPLOYED = Places(
    domain=DOMAIN,
    clusters={
        name: Place(
            kind="managed",
            residency="EU",
            server_name=f"{name}.clusters.{DOMAIN}",
            max_connections=500_000,
            max_connects_per_second=500,
        )
        for name in ("eu1", "us1")
    },
    default=("eu1",),
    default_follows_the_place=False,
    pins={"pinned1": US, "desk1": GATEWAY},
)
WILDCARD = wildcard_records(DOMAIN)
PLANS = {
    "done": PlanEntry(
        plan="done", progress=PlanProgress.DONE, begun_by="ops", begun_at=NOW, done_at=NOW, largest_batch=1000
    ),
    "begun": PlanEntry(
        plan="begun", progress=PlanProgress.BEGUN, begun_by="ops", begun_at=NOW, done_at=None, largest_batch=1000
    ),
}


def route(device: str, target: Target = US, **changed: object) -> Route:
    plain = Route(
        device=DeviceId(device),
        revision=3,
        target=target,
        kind=Kind.MOVE,
        owner="operations",
        reason="a test",
        expires=None,
        returns_to=DEFAULT,
        state=State.POINTED,
        changed_by="ops",
        changed_at=NOW - timedelta(days=1),
        plan="done",
        state_since=NOW - timedelta(days=1),
    )
    return replace(plain, **changed)  # type: ignore[arg-type]


def own(device: str, target: Target = US) -> RecordSet:
    records = project(DeviceId(device), target, DOMAIN)
    assert records is not None
    return records


def record(label: str, kind: str, *values: str, ttl: int = 60) -> RecordSet:
    return RecordSet(f"{label}.gw.{DOMAIN}" if label else f"gw.{DOMAIN}", kind, ttl, values)


PINS = (own("pinned1", US), own("desk1", GATEWAY))


def inspect(
    routes: Sequence[Route], record_sets: Sequence[RecordSet], others: Sequence[tuple[str, str]] = ()
) -> list[Finding]:
    """All findings, with the pages cut small and shuffled: no order of the listing is relied on."""
    shuffled = list(record_sets)
    random.Random(7).shuffle(shuffled)  # noqa: S311  # an order, no secret
    pages = [Page(tuple(shuffled[at : at + 3]), (), None, None) for at in range(0, len(shuffled), 3)]
    pages.append(Page((), tuple(others), None, None))
    inspection = Inspection(places=DEPLOYED, now=NOW, read_plan=PLANS.get)
    with TemporaryDirectory() as folder:
        held = list(holdings(routes, pages, DOMAIN, Path(folder), always=DEPLOYED.pins))
    assert [each.label for each in held] == sorted({each.label for each in held})
    return [*(finding for each in held for finding in inspection.findings(each)), *inspection.unfinished_plans()]


def found(routes: Sequence[Route], *record_sets: RecordSet, others: Sequence[tuple[str, str]] = ()) -> Counter[str]:
    findings = inspect(routes, [WILDCARD, *PINS, *record_sets], others)
    return Counter(f"{each.rule} {each.name.removesuffix(f'.gw.{DOMAIN}')}" for each in findings)


CLEAN: Counter[str] = Counter()


@pytest.mark.parametrize(
    ("routes", "record_sets", "expected"),
    [
        ([], [], []),
        ([route("d1")], [own("d1")], []),
        ([route("d1", GATEWAY)], [own("d1", GATEWAY)], []),
        ([route("d1", DEFAULT)], [], []),
        ([route("d1")], [record("d1", "CNAME", f"US1.clusters.{DOMAIN}.")], []),
        ([route("d1")], [], ["missing d1"]),
        ([route("d1")], [own("d1", EU)], ["drift d1"]),
        ([route("d1")], [own("d1", GATEWAY)], ["drift d1"]),
        ([route("d1")], [replace(own("d1"), ttl=61)], ["drift d1"]),
        ([route("d1", GATEWAY)], [own("d1", GATEWAY), record("d1", "AAAA", "2001:db8::1")], ["drift d1"]),
        ([route("d1", GATEWAY)], [record("d1", "A", "192.0.2.100", "192.0.2.101")], ["drift d1"]),
        ([], [own("d1")], ["orphan d1"]),
        ([route("d1", DEFAULT)], [own("d1")], ["orphan d1"]),
        ([], [record("d1", "A", "192.0.2.1"), record("d1", "AAAA", "2001:db8::1")], ["orphan d1"]),
        ([], [record("-no-device", "A", "192.0.2.1")], ["orphan -no-device"]),
        ([], [record("_acme-challenge", "TXT", '"token"')], []),
        ([], [record("d1", "TXT", '"note"')], ["hides d1"]),
        ([], [record("below.d1", "A", "192.0.2.1")], ["hides d1"]),
        ([], [record("x.below.d1", "TXT", '"note"'), record("d1", "MX", "1 x.")], ["hides d1", "hides d1"]),
        ([route("d1", GATEWAY)], [own("d1", GATEWAY), record("d1", "TXT", '"note"')], ["hides d1"]),
        ([route("d1")], [record("_dmarc.d1", "TXT", '"note"')], ["missing d1", "hides d1"]),
        ([], [record("", "NS", "ns.example.net.")], [f"hides gw.{DOMAIN}"]),
        ([], [record("", "TXT", '"note"')], []),
        ([route("d1", expires=NOW)], [own("d1")], ["expired d1"]),
        ([route("d1", expires=NOW + timedelta(seconds=1))], [own("d1")], []),
        ([route("pinned1")], [], ["pinned pinned1"]),
        ([route("pinned1", DEFAULT)], [], []),
        ([], [record("desk1", "TXT", '"note"')], ["pinned desk1"]),
        ([], [record("below.desk1", "TXT", '"note"')], ["pinned desk1"]),
        ([route("d1", state=State.PENDING)], [own("d1")], ["unfinished d1"]),
        ([route("d1", state=State.PENDING, plan="lost")], [], ["unfinished d1", "missing d1"]),
        ([route("d1", state=State.PENDING, plan="begun")], [], ["unfinished d1", "unfinished begun"]),
        ([route("d1", plan="begun")], [own("d1")], ["unfinished begun"]),
        ([], [record("x.*", "A", "192.0.2.1")], ["wildcard *"]),
    ],
)
def test_a_broken_rule_is_found_and_a_kept_one_is_not(
    routes: list[Route], record_sets: list[RecordSet], expected: list[str]
) -> None:
    assert found(routes, *record_sets) == Counter(expected)


@pytest.mark.parametrize(
    "changed",
    [
        (),
        (replace(WILDCARD, ttl=300),),
        (replace(WILDCARD, values=(f"eu1.clusters.{DOMAIN}",)),),
        (record("*", "TXT", '"note"'),),
    ],
)
def test_a_wildcard_that_is_not_as_pulumi_made_it_is_found(changed: tuple[RecordSet, ...]) -> None:
    (finding,) = inspect([], [*PINS, *changed])
    assert finding.rule is Rule.WILDCARD
    assert "pulumi up" in finding.way_out, "no tool but Pulumi may write it"


@pytest.mark.parametrize("changed", [(), (own("pinned1", EU),), (replace(own("pinned1"), ttl=1),)])
def test_a_pins_record_that_is_missing_or_changed_is_pulumis_to_repair(changed: tuple[RecordSet, ...]) -> None:
    (finding,) = inspect([], [WILDCARD, own("desk1", GATEWAY), *changed])
    assert (finding.rule, finding.device) == (Rule.PINNED, "pinned1")
    assert "pulumi up" in finding.way_out


def test_an_alias_at_a_devices_name_is_found_and_no_tool_of_ours_removes_it() -> None:
    findings = inspect([route("d1")], [WILDCARD, *PINS], [(f"d1.gw.{DOMAIN}", "A"), (f"x.d2.gw.{DOMAIN}", "A")])
    assert [(each.rule, each.device) for each in findings] == [(Rule.DRIFT, "d1"), (Rule.HIDES, "d2")]
    assert all("by" not in each.way_out.split() or "Route 53" in each.way_out for each in findings)
    assert all("--repair" not in each.way_out for each in findings)


def test_a_finding_says_what_is_expected_what_is_there_and_the_way_out() -> None:
    (finding,) = inspect([route("d1")], [WILDCARD, *PINS, own("d1", GATEWAY)])
    assert finding.expected == f"CNAME us1.clusters.{DOMAIN} (60 s)"
    assert finding.found == "A 192.0.2.100 (60 s)"
    assert "--repair" in finding.way_out


# Against a check that asks one question at a time, over small worlds in which everything meets.

DEVICES = ("d", "d-1", "d1", "desk1", "pinned1")
LABELS = (*DEVICES, "below.d", "x.below.d", "_x.d-1", "below.desk1")
RECORDS = st.builds(
    record,
    st.sampled_from(LABELS),
    st.sampled_from(["A", "AAAA", "CNAME", "TXT"]),
    st.sampled_from(["192.0.2.100", f"us1.clusters.{DOMAIN}", f"eu1.clusters.{DOMAIN}"]),
    ttl=st.sampled_from([60, 61]),
)
ROUTES = st.lists(
    st.builds(
        route,
        st.sampled_from(DEVICES),
        st.sampled_from([EU, US, GATEWAY, DEFAULT]),
        expires=st.sampled_from([None, NOW, NOW + timedelta(hours=1)]),
        state=st.sampled_from(State),
        plan=st.sampled_from(["done", "begun", "lost"]),
    ),
    unique_by=lambda each: each.device,
)
ZONES = st.lists(RECORDS, max_size=8, unique_by=lambda each: (each.name, each.type))


def naive(routes: list[Route], zone: list[RecordSet]) -> Iterator[tuple[Rule, str]]:
    """The rules as sentences about one device at a time, over plain lists."""
    for device in DEVICES:
        its = next((each for each in routes if each.device == device), None)
        name = f"{device}.gw.{DOMAIN}"
        at = [each for each in zone if each.name == name]
        below = [each for each in zone if each.name.endswith(f".{name}")]
        rules = naive_pin if device in DEPLOYED.pins else naive_device
        yield from ((rule, name) for rule in rules(device, its, at, below))
    if any(each.plan == "begun" and each.device not in DEPLOYED.pins for each in routes):
        yield Rule.UNFINISHED, "begun"


def naive_pin(device: str, its: Route | None, at: list[RecordSet], below: list[RecordSet]) -> Iterator[Rule]:
    if below or at != [own(device, DEPLOYED.pins[device])]:
        yield Rule.PINNED
    if its and its.target != DEFAULT:
        yield Rule.PINNED


def naive_device(device: str, its: Route | None, at: list[RecordSet], below: list[RecordSet]) -> Iterator[Rule]:
    leading = [each for each in at if each.type != "TXT"]
    target = its.target if its else DEFAULT
    pending = its is not None and its.state is State.PENDING
    if its and its.expires == NOW:
        yield Rule.EXPIRED
    if pending:
        yield Rule.UNFINISHED
    yield from [Rule.HIDES for each in (*at, *below) if each not in leading]
    if its and pending and its.plan == "begun":
        return
    if target == DEFAULT:
        yield from [Rule.ORPHAN] if leading else []
    elif leading != [own(device, target)]:
        yield Rule.DRIFT if leading else Rule.MISSING


@given(routes=ROUTES, zone=ZONES)
def test_an_inspection_finds_what_asking_one_question_at_a_time_finds(
    routes: list[Route], zone: list[RecordSet]
) -> None:
    findings = Counter((each.rule, each.name) for each in inspect(routes, [WILDCARD, *zone]))
    assert findings == Counter(naive(routes, zone))
