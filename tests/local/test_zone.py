"""Wildcards, chains and choices, first by hand, then against knot, which has answered for zones since 2011."""

import itertools
from collections.abc import Iterator, Sequence

import dns.message
import dns.rdatatype
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fleet.routing.vantage import continent
from local.vantage import nearest
from local.zone import MAX_CHAIN, Answer, Outcome, RecordSet, Zone, ZoneError, normal
from tests.knot import Knot, running_knot

DOMAIN = "iot.example.com"
SOA = RecordSet(DOMAIN, "SOA", 900, ("ns.example.com. admin.example.com. 1 7200 900 1209600 86400",))


def record(name: str, kind: str, *values: str, region: str | None = None, place: str | None = None) -> RecordSet:
    return RecordSet(f"{name}.{DOMAIN}" if name else DOMAIN, kind, 60, values, region=region, place=place)


def fleet_zone(*more: RecordSet) -> Zone:
    return Zone(
        DOMAIN,
        (
            SOA,
            record("*.gw", "CNAME", f"default.{DOMAIN}."),
            record("default", "CNAME", f"eu1.clusters.{DOMAIN}"),
            record("eu1.clusters", "CNAME", "abc-ats.iot.eu-west-1.localhost"),
            record("us1.clusters", "CNAME", "abc-ats.iot.us-east-1.localhost"),
            *more,
        ),
    )


def ask(zone: Zone, name: str, kind: str = "A", vantage: str = "eu-west-1") -> Answer:
    return zone.lookup(f"{name}.{DOMAIN}" if name else DOMAIN, kind, vantage=vantage)


def test_a_device_without_a_record_follows_the_wildcard_to_its_cluster() -> None:
    assert ask(fleet_zone(), "device1.gw").chain == (
        f"device1.gw.{DOMAIN}",
        f"default.{DOMAIN}",
        f"eu1.clusters.{DOMAIN}",
        "abc-ats.iot.eu-west-1.localhost",
    )


def test_a_device_with_a_record_leaves_the_wildcard() -> None:
    zone = fleet_zone(record("device1.gw", "CNAME", f"us1.clusters.{DOMAIN}"))
    assert ask(zone, "device1.gw").chain[1] == f"us1.clusters.{DOMAIN}"
    assert ask(zone, "device2.gw").chain[1] == f"default.{DOMAIN}"


@pytest.mark.parametrize(
    "hiding",
    [record("device1.gw", "TXT", '"moved"'), record("below.device1.gw", "A", "192.0.2.1")],
    ids=["a TXT at the name", "a record below the name"],
)
def test_whatever_is_put_under_a_devices_name_hides_the_wildcard(hiding: RecordSet) -> None:
    answer = ask(fleet_zone(hiding), "device1.gw")
    assert (answer.outcome, answer.records) == (Outcome.NOERROR, ()), "no data, though the wildcard has some"


def test_an_address_alone_has_no_data_of_the_other_family() -> None:
    zone = fleet_zone(record("device2.gw", "A", "192.0.2.100"))
    assert ask(zone, "device2.gw").addresses == ("192.0.2.100",)
    assert ask(zone, "device2.gw", "AAAA") == Answer(Outcome.NOERROR)


def test_the_wildcard_covers_any_number_of_labels() -> None:
    assert ask(fleet_zone(), "a.b.c.gw").chain[1] == f"default.{DOMAIN}"


def test_the_wildcard_answers_only_below_its_own_parent() -> None:
    assert ask(fleet_zone(), "device1.other").outcome is Outcome.NXDOMAIN
    assert ask(fleet_zone(), "gw") == Answer(Outcome.NOERROR), "the parent itself is an empty non-terminal"


def test_an_existing_name_without_a_wildcard_shields_what_is_below_it() -> None:
    zone = fleet_zone(record("site.gw", "A", "192.0.2.1"))
    assert ask(zone, "device1.site.gw").outcome is Outcome.NXDOMAIN, "the closest encloser is site.gw, not gw"


def test_names_are_compared_without_case_and_trailing_dot() -> None:
    assert fleet_zone().lookup(f"DEVICE1.GW.{DOMAIN.upper()}.", "A", vantage="eu-west-1") == ask(
        fleet_zone(), "device1.gw"
    )


def test_a_name_elsewhere_is_refused() -> None:
    for name in ("example.com", "notiot.example.com", f"x{DOMAIN}", "localhost"):
        assert fleet_zone().lookup(name, "A", vantage="eu-west-1").outcome is Outcome.REFUSED


def test_a_loop_ends() -> None:
    zone = fleet_zone(record("a", "CNAME", f"b.{DOMAIN}"), record("b", "CNAME", f"a.{DOMAIN}"))
    answer = ask(zone, "a")
    assert [records.name for records in answer.records] == [f"a.{DOMAIN}", f"b.{DOMAIN}"]
    assert answer.addresses == ()


def test_an_endless_chain_ends() -> None:
    links = [record(f"n{i}", "CNAME", f"n{i + 1}.{DOMAIN}") for i in range(2 * MAX_CHAIN)]
    assert len(ask(fleet_zone(*links), "n0").records) == MAX_CHAIN


def latency_zone() -> Zone:
    return Zone(
        DOMAIN,
        [record("default", "CNAME", f"{region}.example.net", region=region) for region in ("us-east-1", "eu-west-1")],
    )


@pytest.mark.parametrize(
    ("vantage", "region"),
    [
        ("us-east-1", "us-east-1"),
        ("eu-west-1", "eu-west-1"),
        ("eu-north-1", "eu-west-1"),
        ("ca-central-1", "us-east-1"),
        ("ap-southeast-2", "eu-west-1"),
    ],
    ids=["there", "there too", "same continent", "same continent too", "first in the alphabet"],
)
def test_latency_chooses_the_vantage_region_else_in_a_fixed_order(vantage: str, region: str) -> None:
    assert ask(latency_zone(), "default", vantage=vantage).chain[1] == f"{region}.example.net"


def geolocation_zone(*places: str) -> Zone:
    return Zone(DOMAIN, [record("default", "CNAME", f"{place}.example.net", place=place) for place in places])


@pytest.mark.parametrize(
    ("vantage", "place"),
    [("eu-north-1", "EU"), ("ap-southeast-2", "OC"), ("ap-northeast-1", "*"), ("us-east-1", "*"), ("xx-1", "*")],
)
def test_geolocation_chooses_the_continent_else_the_default(vantage: str, place: str) -> None:
    records = ask(geolocation_zone("EU", "OC", "*"), "default", vantage=vantage).records
    assert records[0].values == (f"{place}.example.net",)


def test_geolocation_without_a_default_has_no_data_for_other_places() -> None:
    assert ask(geolocation_zone("EU"), "default", vantage="us-east-1") == Answer(Outcome.NOERROR)


def test_a_choice_behind_a_wildcard_is_made_for_the_name_asked() -> None:
    zone = Zone(DOMAIN, [record("*.gw", "A", address, region=r) for r, address in (("a-b-1", "192.0.2.1"),)])
    assert ask(zone, "x.gw").records == (record("x.gw", "A", "192.0.2.1"),)


def test_every_region_is_somewhere_and_nearest_ignores_order() -> None:
    assert continent("us-west-2") == "NA"
    assert continent("ap-southeast-4") == "OC"
    assert continent("moon-1") is None
    regions = ["us-east-1", "ap-southeast-2", "eu-west-1"]
    assert nearest("eu-west-2", regions) == nearest("eu-west-2", regions[::-1]) == "eu-west-1"


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (RecordSet("other.example.org", "A", 60, ("192.0.2.1",)), "not under the zone"),
        (record("sub", "NS", "ns.example.net."), "delegation"),
    ],
)
def test_a_record_set_that_cannot_be_answered_truly_is_refused(bad: RecordSet, reason: str) -> None:
    with pytest.raises(ZoneError, match=reason):
        fleet_zone(bad)


# Against knot. Small names over few labels, so that wildcards, empty non-terminals and chains meet often.

ZONE = "z.test"
LABELS = ("a", "b", "gw", "*")
KINDS = ("A", "AAAA", "TXT", "CNAME")

names = st.lists(st.sampled_from(LABELS), min_size=1, max_size=4).map(lambda labels: ".".join((*labels, ZONE)))
targets = st.one_of(names, names, st.just("outside.example."))
data = st.fixed_dictionaries(
    {},
    optional={
        "A": st.just(("192.0.2.1", "192.0.2.2")),
        "AAAA": st.just(("2001:db8::1",)),
        "TXT": st.just(('"text"',)),
    },
)
nodes = st.one_of(data, targets.map(lambda target: {"CNAME": (f"{target.rstrip('.')}.",)}))
zones = st.dictionaries(names, nodes, max_size=8)
questions = st.lists(st.tuples(names, st.sampled_from(KINDS)), min_size=1, max_size=12)


SERIALS = itertools.count(1)


def record_sets(zone: dict[str, dict[str, tuple[str, ...]]]) -> list[RecordSet]:
    return [RecordSet(name, kind, 60, values) for name, node in zone.items() for kind, values in node.items()]


@pytest.fixture(scope="module")
def knot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Knot]:
    with running_knot(tmp_path_factory.mktemp("knot"), ZONE) as found:
        yield found


def zone_text(records: Sequence[RecordSet], serial: int) -> str:
    lines = [
        f"{ZONE}. 60 SOA ns.{ZONE}. admin.{ZONE}. {serial} 7200 900 1209600 60",
        f"{ZONE}. 60 NS ns.example.",
        *(f"{each.name}. {each.ttl} {each.type} {value}" for each in records for value in each.values),
    ]
    return "\n".join(lines) + "\n"


def answer_of(message: dns.message.Message) -> tuple[int, set[tuple[str, str, str]]]:
    records = {
        (normal(rrset.name.to_text()), dns.rdatatype.to_text(rrset.rdtype), rdata.to_text().lower())
        for rrset in message.answer
        for rdata in rrset
    }
    return message.rcode(), records


@pytest.mark.judge
@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(zone=zones, questions=questions)
@example(
    zone={f"*.{ZONE}": {"A": ("192.0.2.1",)}, f"a.b.{ZONE}": {"A": ("192.0.2.2",)}}, questions=[(f"b.{ZONE}", "A")]
)
@example(zone={f"a.*.{ZONE}": {"A": ("192.0.2.1",)}}, questions=[(f"b.{ZONE}", "A"), (f"b.*.{ZONE}", "A")])
@example(zone={f"*.gw.{ZONE}": {"CNAME": (f"b.gw.{ZONE}.",)}}, questions=[(f"b.gw.{ZONE}", "A")])
def test_knot_gives_the_same_answer_for_every_zone_and_question(
    knot: Knot, zone: dict[str, dict[str, tuple[str, ...]]], questions: list[tuple[str, str]]
) -> None:
    records = record_sets(zone)
    knot.serve(zone_text(records, next(SERIALS)))
    ours = Zone(ZONE, records)
    for name, kind in questions:
        mine = ours.lookup(name, kind, vantage="eu-west-1")
        told = {(each.name, each.type, value.lower()) for each in mine.records for value in each.values}
        assert (mine.outcome.value, told) == answer_of(knot.ask(name, kind)), f"{name} {kind}"
