"""What we say a zone answers is what a real DNS server answers from it; and asking one reads every answer right."""

import itertools
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fleet.errors import UnfinishedError
from fleet.routing.answer import Answer, compare, questions, zone_answer
from fleet.routing.holding import Holding, gather, label_of
from fleet.routing.inspect import wildcard_records
from fleet.routing.record_set import RecordSet
from fleet.routing.resolver import Resolver, Server, name_servers
from protocol.device_id import DeviceId
from tests.fleet.test_inspect import DOMAIN, GATEWAY, US, WILDCARD, own, record
from tests.knot import Knot, running_knot

SERIALS = itertools.count(1)
WILDCARD_HOLDING = gather("*", DOMAIN, record_sets=[WILDCARD])


@pytest.fixture(scope="module")
def knot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Knot]:
    with running_knot(tmp_path_factory.mktemp("knot"), DOMAIN) as found:
        yield found


def held(label: str, *record_sets: RecordSet) -> Holding:
    return gather(label, DOMAIN, record_sets=[each for each in record_sets if label_of(each.name, DOMAIN) == label])


def served(knot: Knot, *record_sets: RecordSet) -> Resolver:
    lines = [
        f"{DOMAIN}. 60 SOA ns.{DOMAIN}. admin.{DOMAIN}. {next(SERIALS)} 7200 900 1209600 60",
        f"{DOMAIN}. 60 NS ns.example.",
        *(f"{each.name}. {each.ttl} {each.type} {value}" for each in record_sets for value in absolute(each)),
    ]
    knot.serve("\n".join(lines) + "\n")
    return Resolver((Server("127.0.0.1", knot.port),))


def absolute(records: RecordSet) -> list[str]:
    return [f"{value}." if records.type == "CNAME" else value for value in records.values]


@pytest.mark.parametrize(
    ("record_sets", "kind", "said"),
    [
        ([], "A", f"CNAME default.{DOMAIN}"),
        ([own("d1")], "A", f"CNAME us1.clusters.{DOMAIN}"),
        ([own("d1", GATEWAY)], "A", "192.0.2.100"),
        ([own("d1", GATEWAY)], "AAAA", "no data"),
        ([record("d1", "TXT", '"note"')], "A", "no data"),
        ([record("x.d1", "A", "192.0.2.1")], "A", "no data"),
    ],
)
def test_the_first_hop_of_a_device(record_sets: list[RecordSet], kind: str, said: str) -> None:
    assert str(zone_answer(held("d1", *record_sets), WILDCARD_HOLDING, kind)) == said


def test_without_a_wildcard_there_is_no_such_name() -> None:
    assert zone_answer(held("d1"), gather("*", DOMAIN), "A") == Answer(exists=False)


def test_what_an_alias_or_a_delegation_answers_cannot_be_told() -> None:
    alias = gather("d1", DOMAIN, foreign=[(f"d1.gw.{DOMAIN}", "A")])
    assert zone_answer(alias, WILDCARD_HOLDING, "A") is None
    assert zone_answer(held("d1", record("d1", "NS", "ns.example.")), WILDCARD_HOLDING, "A") is None


NODES: st.SearchStrategy[dict[str, tuple[str, ...]]] = st.sampled_from(
    [
        {},
        {"A": ("192.0.2.1", "192.0.2.2")},
        {"AAAA": ("2001:db8::1",)},
        {"A": ("192.0.2.1",), "AAAA": ("2001:db8::1",)},
        {"TXT": ('"note"',)},
        {"CNAME": (f"eu1.clusters.{DOMAIN}",)},
        {"CNAME": ("elsewhere.example.net",)},
    ]
)


@pytest.mark.judge
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(at=NODES, below=NODES, wildcard=NODES, below_wildcard=NODES)
@example(at={}, below={}, wildcard={}, below_wildcard={"A": ("192.0.2.1",)})
def test_a_real_server_says_the_same_of_every_device(
    knot: Knot,
    at: dict[str, tuple[str, ...]],
    below: dict[str, tuple[str, ...]],
    wildcard: dict[str, tuple[str, ...]],
    below_wildcard: dict[str, tuple[str, ...]],
) -> None:
    nodes: dict[str, dict[str, tuple[str, ...]]] = {
        "d1": at,
        "x.d1": below,
        "*": wildcard,
        "y.*": below_wildcard,
        "other": {"A": ("192.0.2.9",)},
    }
    zone = [record(label, kind, *values) for label, node in nodes.items() for kind, values in node.items()]
    resolver = served(knot, *zone)
    for kind in ("A", "AAAA"):
        told = zone_answer(held("d1", *zone), held("*", *zone), kind)
        assert resolver.ask(f"d1.gw.{DOMAIN}", kind) == told, kind


@pytest.mark.judge
def test_an_answer_carries_the_whole_chain(knot: Knot) -> None:
    default = RecordSet(f"default.{DOMAIN}", "CNAME", 60, (f"eu1.clusters.{DOMAIN}",))
    cluster = RecordSet(f"eu1.clusters.{DOMAIN}", "A", 60, ("192.0.2.7",))
    answer = served(knot, wildcard_records(DOMAIN), default, cluster).ask(f"d1.gw.{DOMAIN}", "A")
    assert answer.chain == (f"d1.gw.{DOMAIN}", f"default.{DOMAIN}", f"eu1.clusters.{DOMAIN}")
    assert (answer.values, answer.addresses) == ((), ("192.0.2.7",))


@pytest.mark.judge
def test_answers_come_in_the_order_of_the_questions(knot: Knot) -> None:
    devices = [f"d{number}" for number in range(40)]
    resolver = served(knot, *(record(device, "A", f"192.0.2.{device[1:]}") for device in devices))
    answers = resolver.ask_all((f"{device}.gw.{DOMAIN}", "A") for device in devices)
    assert [answer.values for answer in answers] == [(f"192.0.2.{device[1:]}",) for device in devices]


@pytest.mark.judge
def test_a_server_that_refuses_is_passed_over_and_alone_is_an_error(knot: Knot) -> None:
    refusing = Resolver((Server("127.0.0.1", knot.port),))
    with pytest.raises(UnfinishedError, match=r"REFUSED.*--resolver"):
        refusing.ask("d1.example.org", "A")


def test_a_difference_is_a_finding_that_tells_of_the_ttl() -> None:
    zone, other = Answer(exists=True, alias="a.example"), Answer(exists=True)
    device = DeviceId("d1")
    assert compare(device, DOMAIN, "A", zone=zone, resolver=zone) is None
    finding = compare(device, DOMAIN, "A", zone=zone, resolver=other)
    assert finding is not None
    assert (finding.expected, finding.found) == ("A: CNAME a.example", "A: no data")
    assert "60 s" in finding.way_out


def test_an_ipv6_address_is_asked_for_where_the_zone_has_one() -> None:
    assert questions(held("d1", own("d1", US))) == ("A",)
    assert questions(held("d1", record("d1", "AAAA", "2001:db8::1"))) == ("A", "AAAA")


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("127.0.0.1", Server("127.0.0.1")),
        ("127.0.0.1:5353", Server("127.0.0.1", 5353)),
        ("::1", Server("::1")),
        ("[::1]:5353", Server("::1", 5353)),
    ],
)
def test_a_server_is_an_address_and_a_port(text: str, server: Server) -> None:
    assert Server.parse(text) == server
    assert Server.parse(str(server)) == server


@pytest.mark.parametrize(
    "text", ["", "localhost", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:x", ":53"]
)
def test_what_is_no_server_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="ADDRESS"):
        Server.parse(text)


def test_name_servers_that_cannot_be_found_are_an_error_with_a_way_out() -> None:
    def nowhere(name: str) -> list[str]:
        raise OSError(name)

    with pytest.raises(UnfinishedError, match="--resolver"):
        name_servers(["ns-1.example."], nowhere)
    assert name_servers(["a.", "b"], lambda _: ["192.0.2.1"]).servers == (Server("192.0.2.1"),) * 2
