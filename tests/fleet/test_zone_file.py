"""An exported zone is loaded by a real DNS server, which then answers as the zone does."""

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dns.message
import dns.rdatatype
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fleet.errors import RefusedError
from fleet.routing.zone_entry import read_entry
from fleet.routing.zone_file import ZoneFile, zone_file
from local.hosted_zone import parse_record_set
from local.zone import Zone, normal
from tests.knot import Knot, running_knot

DOMAIN = "iot.example.com"
VANTAGE = "eu-west-1"
SERIALS = itertools.count(1)

Listed = Mapping[str, Any]


def listed(label: str, kind: str, *values: str, ttl: int = 60, **more: object) -> dict[str, Any]:
    """As ListResourceRecordSets has it."""
    name = f"{label}.{DOMAIN}." if label else f"{DOMAIN}."
    records = [{"Value": value} for value in values]
    return {"Name": name.replace("*", "\\052"), "Type": kind, "TTL": ttl, "ResourceRecords": records, **more}


def apex() -> list[Listed]:
    soa = f"ns-1.example.net. admin.example.net. {next(SERIALS)} 7200 900 1209600 60"
    return [listed("", "NS", "ns-2.example.net", "ns-1.example.net.", ttl=172_800), listed("", "SOA", soa, ttl=900)]


def fleet_zone() -> list[Listed]:
    return [
        listed("*.gw", "CNAME", f"default.{DOMAIN}"),
        listed("default", "CNAME", f"eu1.clusters.{DOMAIN}"),
        listed("eu1.clusters", "CNAME", "abc-ats.iot.eu-west-1.example.net"),
        listed("us1.clusters", "CNAME", "abc-ats.iot.us-east-1.example.net"),
    ]


def export(record_sets: Sequence[Listed], vantage: str = VANTAGE) -> ZoneFile:
    return zone_file(map(read_entry, record_sets), DOMAIN, vantage)


@pytest.fixture(scope="module")
def knot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Knot]:
    with running_knot(tmp_path_factory.mktemp("knot"), DOMAIN) as found:
        yield found


def served(knot: Knot, *record_sets: Listed) -> Knot:
    knot.serve(export([*apex(), *fleet_zone(), *record_sets]).text)
    return knot


def said(knot: Knot, label: str, kind: str) -> tuple[str, list[str]]:
    """What dig is told: the status, and the data of each record in the answer."""
    lines = knot.dig(f"{label}.{DOMAIN}", kind).splitlines()
    status = next(line.partition("status: ")[2].partition(",")[0] for line in lines if "status: " in line)
    return status, [line.split(None, 4)[4] for line in lines if line and not line.startswith(";")]


CHAIN = [f"default.{DOMAIN}.", f"eu1.clusters.{DOMAIN}.", "abc-ats.iot.eu-west-1.example.net."]


@pytest.mark.judge
def test_a_device_without_a_record_is_served_by_the_wildcard_and_one_with_a_record_is_not(knot: Knot) -> None:
    served(knot, listed("d1.gw", "CNAME", f"us1.clusters.{DOMAIN}"))
    assert said(knot, "d2.gw", "A") == ("NOERROR", CHAIN)
    assert said(knot, "d1.gw", "A") == ("NOERROR", [f"us1.clusters.{DOMAIN}.", "abc-ats.iot.us-east-1.example.net."])


@pytest.mark.judge
def test_the_wildcard_serves_deeper_names_too(knot: Knot) -> None:
    assert said(served(knot), "a.b.c.gw", "A") == ("NOERROR", CHAIN)


@pytest.mark.judge
def test_an_address_alone_has_no_data_of_the_other_family_and_both_have_both(knot: Knot) -> None:
    both = (listed("d2.gw", "A", "192.0.2.2"), listed("d2.gw", "AAAA", "2001:db8::2"))
    served(knot, listed("d1.gw", "A", "192.0.2.1"), *both)
    assert said(knot, "d1.gw", "A") == ("NOERROR", ["192.0.2.1"])
    assert said(knot, "d1.gw", "AAAA") == ("NOERROR", []), "no data, though the wildcard would have some"
    assert said(knot, "d1.gw", "TXT") == ("NOERROR", [])
    assert said(knot, "d2.gw", "A") == ("NOERROR", ["192.0.2.2"])
    assert said(knot, "d2.gw", "AAAA") == ("NOERROR", ["2001:db8::2"])


@pytest.mark.judge
def test_a_note_at_a_devices_name_or_a_record_below_it_hides_the_wildcard(knot: Knot) -> None:
    served(knot, listed("d1.gw", "TXT", '"note"'), listed("x.d2.gw", "A", "192.0.2.2"))
    assert said(knot, "d1.gw", "A") == ("NOERROR", [])
    assert said(knot, "d2.gw", "A") == ("NOERROR", [])
    assert said(knot, "y.d2.gw", "A") == ("NXDOMAIN", []), "the closest encloser is d2.gw, which has no wildcard"
    assert said(knot, "x.d2.gw", "A") == ("NOERROR", ["192.0.2.2"])


@pytest.mark.judge
@pytest.mark.parametrize(
    ("value", "data"),
    [
        ('"plain"', '"plain"'),
        ('"two" "strings"', '"two" "strings"'),
        (r'"a \"quoted\" word"', r'"a \"quoted\" word"'),
        (r'"semi;colon and back\\slash"', r'"semi;colon and back\\slash"'),
        (r'"tab\011 and \303\244"', r'"tab\009 and \195\164"'),
        (r'"\\101 stays"', r'"\\101 stays"'),
        (f'"{"x" * 255}"', f'"{"x" * 255}"'),
        ('""', '""'),
    ],
)
def test_text_comes_out_as_it_went_in(knot: Knot, value: str, data: str) -> None:
    assert said(served(knot, listed("t", "TXT", value)), "t", "TXT") == ("NOERROR", [data])


@pytest.mark.judge
def test_names_with_odd_characters_are_the_same_names(knot: Knot) -> None:
    served(knot, listed(r"a\100b", "A", "192.0.2.1"), listed(r"dot\056ted", "A", "192.0.2.2"))
    assert said(knot, r"a\@b", "A") == ("NOERROR", ["192.0.2.1"])
    assert said(knot, r"dot\.ted", "A") == ("NOERROR", ["192.0.2.2"])


@pytest.mark.judge
@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("MX", "10 mail.example.net"),
        ("SRV", "1 2 8883 host.example.net"),
        ("CAA", '0 issue "ca.example.net"'),
        ("PTR", "host.example.net"),
    ],
)
def test_names_in_data_are_absolute_with_or_without_the_dot(knot: Knot, kind: str, value: str) -> None:
    _, data = said(served(knot, listed("other", kind, value)), "other", kind)
    assert [each.rstrip(".") for each in data] == [value]


def test_two_exports_of_one_zone_are_equal_byte_by_byte() -> None:
    record_sets = [
        *apex(),
        *fleet_zone(),
        listed("d1.gw", "A", "192.0.2.2", "192.0.2.1"),
        listed("d1.gw", "TXT", '"x"'),
    ]
    shuffled = [{**each, "ResourceRecords": each["ResourceRecords"][::-1]} for each in record_sets]
    random.Random(1).shuffle(shuffled)  # noqa: S311  # an order, no secret
    assert export(record_sets) == export(shuffled)


def test_the_soa_comes_first_and_a_zone_without_one_is_refused() -> None:
    records = [line for line in export([*fleet_zone(), *apex()]).text.splitlines() if not line.startswith(";")]
    assert " SOA " in records[0]
    assert " NS " in records[1]
    with pytest.raises(RefusedError, match="SOA"):
        export(fleet_zone())


def by_latency(*regions: str, check: str | None = None) -> list[Listed]:
    health: dict[str, Any] = {"HealthCheckId": check} if check else {}
    return [
        listed("default", "CNAME", f"{region}.example.net", SetIdentifier=region, Region=region, **health)
        for region in regions
    ]


def by_place(*places: str) -> list[Listed]:
    def location(place: str) -> dict[str, str]:
        return {"CountryCode": "*"} if place == "*" else {"ContinentCode": place}

    return [
        listed("default", "CNAME", f"{place}.example.net", SetIdentifier=place, GeoLocation=location(place))
        for place in places
    ]


def test_a_choice_by_latency_is_made_for_the_vantage_and_told() -> None:
    done = export([*apex(), *by_latency("eu-west-1", "us-east-1", check="h1")], "us-east-1")
    assert f"default.{DOMAIN}. 60 IN CNAME us-east-1.example.net." in done.text
    assert "IN CNAME eu-west-1" not in done.text
    assert len(done.notes) == 2
    assert "left out: eu-west-1.example.net. (eu-west-1)" in done.notes[0]
    assert "health check" in done.notes[1]
    assert all(f"; {note}\n" in done.text for note in done.notes), "who reads the file alone must learn it too"


def test_a_vantage_that_latency_does_not_know_is_refused_with_those_it_does() -> None:
    with pytest.raises(RefusedError, match="--vantage one of eu-west-1, us-east-1"):
        export([*apex(), *by_latency("us-east-1", "eu-west-1")], "ap-south-1")


@pytest.mark.parametrize(
    ("vantage", "place"), [("eu-west-3", "EU"), ("us-east-1", "*"), ("ap-southeast-2", "OC"), ("moon-1", "*")]
)
def test_a_choice_by_place_is_made_for_the_continent_of_the_vantage(vantage: str, place: str) -> None:
    done = export([*apex(), *by_place("EU", "OC", "*")], vantage)
    assert f" IN CNAME {read_entry(by_place(place)[0]).values[0]}\n" in done.text
    assert done.text.count(f"default.{DOMAIN}. 60 IN") == 1


def test_a_place_that_is_given_nothing_is_told() -> None:
    done = export([*apex(), *by_place("EU")], "us-east-1")
    assert "us-east-1 is given nothing" in done.notes[0]
    assert "default" not in done.text.replace(done.notes[0], "")


def alias(label: str, to: str, kind: str = "A") -> Listed:
    target = {"HostedZoneId": "Z1", "DNSName": to, "EvaluateTargetHealth": False}
    return {"Name": f"{label}.{DOMAIN}.", "Type": kind, "AliasTarget": target}


def test_an_alias_within_the_zone_becomes_what_stands_there() -> None:
    records = [listed("b", "A", "192.0.2.1", ttl=300), alias("a", f"b.{DOMAIN}."), alias("c", f"a.{DOMAIN}.")]
    done = export([*apex(), *records])
    assert f"\na.{DOMAIN}. 300 IN A 192.0.2.1\n" in done.text
    assert f"\nc.{DOMAIN}. 300 IN A 192.0.2.1\n" in done.text
    assert len(done.notes) == 2


@pytest.mark.parametrize(
    ("record_sets", "why"),
    [
        ([alias("a", "elsewhere.example.net.")], "alias"),
        ([alias("a", f"b.{DOMAIN}."), alias("b", f"a.{DOMAIN}.")], "alias"),
        ([listed("a", "A", "192.0.2.1", SetIdentifier="x", Weight=1)], "weighted"),
        ([listed("a", "A", "192.0.2.1", SetIdentifier="x", Failover="PRIMARY")], "failover"),
    ],
)
def test_what_a_zone_file_cannot_say_is_refused(record_sets: list[Listed], why: str) -> None:
    with pytest.raises(RefusedError, match=rf"a\.{DOMAIN} A: .*{why}.*plain record set"):
        export([*apex(), *record_sets])


# Against knot, for zones in which wildcards, empty non-terminals and chains meet often.

LABELS = ("a", "b", "gw", "*")
NAMES = st.lists(st.sampled_from(LABELS), min_size=1, max_size=4).map(".".join)
DATA: st.SearchStrategy[dict[str, tuple[str, ...]]] = st.one_of(
    st.sampled_from(
        [
            {"A": ("192.0.2.1", "192.0.2.2")},
            {"A": ("192.0.2.1",), "AAAA": ("2001:db8::1",)},
            {"TXT": ('"text"', r'"a\"b" "c;d"')},
        ]
    ),
    NAMES.map(lambda name: {"CNAME": (f"{name}.{DOMAIN}",)}),
    st.just({"CNAME": ("outside.example",)}),
)
ZONES = st.dictionaries(NAMES, DATA, max_size=8)
QUESTIONS = st.lists(st.tuples(NAMES, st.sampled_from(["A", "AAAA", "TXT", "CNAME"])), min_size=1, max_size=12)


def answer_of(message: dns.message.Message) -> tuple[int, set[tuple[str, str, str]]]:
    records = {
        (normal(rrset.name.to_text()), dns.rdatatype.to_text(rrset.rdtype), rdata.to_text().lower().rstrip("."))
        for rrset in message.answer
        for rdata in rrset
    }
    return message.rcode(), records


@pytest.mark.judge
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(zone=ZONES, questions=QUESTIONS)
@example(zone={"*.gw": {"CNAME": (f"b.gw.{DOMAIN}",)}}, questions=[("b.gw", "A")])
def test_knot_answers_from_an_exported_zone_as_the_zone_itself_does(
    knot: Knot, zone: dict[str, dict[str, tuple[str, ...]]], questions: list[tuple[str, str]]
) -> None:
    record_sets = [
        *apex(),
        *(listed(name, kind, *values) for name, node in zone.items() for kind, values in node.items()),
    ]
    knot.serve(export(record_sets).text)
    ours = Zone(DOMAIN, map(parse_record_set, record_sets))
    for label, kind in questions:
        name = f"{label}.{DOMAIN}"
        mine = ours.lookup(name, kind, vantage=VANTAGE)
        told = {(each.name, each.type, value.lower().rstrip(".")) for each in mine.records for value in each.values}
        assert (mine.outcome.value, told) == answer_of(knot.ask(name, kind)), f"{name} {kind}"
