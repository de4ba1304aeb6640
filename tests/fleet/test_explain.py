"""Why a device goes where it goes: every way to choose, and every way in which the wire may disagree."""

from dataclasses import replace
from datetime import timedelta

import pytest

from fleet.commands.show_telling import tell_explanation
from fleet.routing.answer import Answer
from fleet.routing.explain import Cluster, DefaultChoice, Explanation, Link, Listing, explain, revision_line
from fleet.routing.inspect import Inspection
from fleet.routing.record_set import RecordSet
from fleet.routing.route import Kind, Route, State
from fleet.routing.target import DEFAULT, Target
from tests.fleet.test_answer import WILDCARD_HOLDING, held
from tests.fleet.test_inspect import DEPLOYED, DOMAIN, GATEWAY, NOW, PLANS, US, own, record, route

CLUSTERS = {
    "eu1": Cluster(kind="managed", region="eu-north-1", residency="EU", data_endpoint="eu.example.net"),
    "us1": Cluster(kind="edge", region="us-east-1", residency="US", data_endpoint="us.example.net"),
}
SINGLE = DefaultChoice(choose="single", by_place={"any": "eu1"})
LATENCY = DefaultChoice(
    choose="latency", by_place={"who is nearest to eu-north-1": "eu1", "nearest to us-east-1": "us1"}
)


def told(
    device: str,
    *record_sets: RecordSet,
    its: Route | None = None,
    default: DefaultChoice = SINGLE,
    answers: dict[str, Answer] | None = None,
    manifests: dict[str, Listing] | None = None,
) -> Explanation:
    return explain(
        replace(held(device, *record_sets), route=its),
        WILDCARD_HOLDING,
        Inspection(places=DEPLOYED, now=NOW, read_plan=PLANS.get),
        clusters=CLUSTERS,
        default=default,
        answers=answers or {},
        manifests=manifests or {"eu1": Listing.YES},
    )


def names(link: Link) -> list[str]:
    """The chain's names, depth first."""
    return [link.name, *(name for following in link.next for name in names(following))]


def test_a_default_device_passes_the_wildcard_and_the_default() -> None:
    explanation = told("d1")
    assert names(explanation.chain) == [
        f"d1.gw.{DOMAIN}",
        f"*.gw.{DOMAIN}",
        f"default.{DOMAIN}",
        f"eu1.clusters.{DOMAIN}",
        "eu.example.net",
    ]
    assert explanation.server_names == (f"eu1.clusters.{DOMAIN}",)


def test_where_the_default_depends_on_who_asks_every_cluster_is_named_with_its_place() -> None:
    explanation = told("d1", default=LATENCY)
    choices = explanation.chain.next[0].next[0].next
    assert [link.why[0] for link in choices] == ["for who is nearest to eu-north-1", "for nearest to us-east-1"]
    assert explanation.server_names == (f"eu1.clusters.{DOMAIN}", f"us1.clusters.{DOMAIN}")


@pytest.mark.parametrize(
    ("manifests", "is_listed_nowhere"),
    [
        ({"eu1": Listing.NO, "us1": Listing.NO}, True),
        ({"eu1": Listing.NO, "us1": Listing.YES}, False),
        ({"eu1": Listing.NO, "us1": Listing.UNKNOWN}, False),
    ],
)
def test_a_device_that_no_manifest_lists_is_said_to_be_unknown(
    manifests: dict[str, Listing], *, is_listed_nowhere: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    explanation = told("d1", manifests=manifests)
    assert explanation.is_listed_nowhere == is_listed_nowhere
    tell_explanation(explanation)
    shown = capsys.readouterr().out
    assert ("NOBODY KNOWS IT" in shown) == is_listed_nowhere
    assert ("manifests" in shown and f"us1 {manifests['us1']}" in shown) != is_listed_nowhere


def test_a_pin_counts_before_a_route() -> None:
    explanation = told("pinned1", own("pinned1"), its=route("pinned1", GATEWAY))
    assert explanation.target == US
    assert "pinned to us1" in explanation.chain.why[0]
    assert [each.rule for each in explanation.findings] == ["pinned"]


def test_an_address_means_the_devices_own_name() -> None:
    explanation = told("d1", own("d1", GATEWAY), its=route("d1", GATEWAY))
    assert names(explanation.chain) == [f"d1.gw.{DOMAIN}", GATEWAY.address]
    assert explanation.server_names == (f"d1.gw.{DOMAIN}",)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"expires": NOW, "returns_to": US, "kind": Kind.DEBUG},
            "EXPIRED at 2026-11-24T12:00:00Z, then returns to us1",
        ),
        ({"expires": NOW + timedelta(hours=1)}, "expires at 2026-11-24T13:00:00Z, then returns to default"),
        ({"state": State.SETTLED, "state_since": NOW}, "state: settled since 2026-11-24T12:00:00Z"),
        ({"state": State.PENDING, "state_since": None, "plan": "lost"}, "plan lost, which nobody began"),
        ({"target": DEFAULT}, "no record of its own: the wildcard is to answer for it"),
        ({"reason": ""}, "no reason given"),
        ({}, "changed by ops at 2026-11-23T12:00:00Z, owner operations, plan done, done"),
    ],
)
def test_a_route_is_told_in_the_order_one_asks(changed: dict[str, object], said: str) -> None:
    assert any(said in why for why in told("d1", its=route("d1", **changed)).chain.why)  # type: ignore[arg-type]


def test_a_cluster_that_is_no_more_is_shouted() -> None:
    explanation = told("d1", its=route("d1", Target(cluster="gone")))
    assert explanation.chain.next[0].why == ("NO SUCH CLUSTER in this deployment: eu1, us1",)


def test_what_hides_the_wildcard_stands_beside_what_the_zone_holds() -> None:
    explanation = told("d1", record("d1", "TXT", '"note"'), record("x.d1", "A", "192.0.2.1"))
    assert explanation.zone == "nothing"
    assert explanation.hiding == f'TXT "note" (60 s), x.d1.gw.{DOMAIN} A 192.0.2.1 (60 s)'
    assert "HIDDEN" in explanation.chain.why[-1]
    assert "HIDDEN" not in str(told("d1").chain)


SAYS_EU, SAYS_US = (Answer(exists=True, alias=f"{name}.clusters.{DOMAIN}") for name in ("eu1", "us1"))


def test_zone_and_resolver_agree_or_not_in_words() -> None:
    its = route("d1")
    assert told("d1", own("d1"), its=its).verdict == "no resolver was asked"
    assert told("d1", own("d1"), its=its, answers={"A": SAYS_US}).verdict == "they agree"
    different = told("d1", own("d1"), its=its, answers={"A": SAYS_EU}).verdict
    assert different == f"DIFFERENT (A: CNAME us1.clusters.{DOMAIN} in the zone)"
    unknown = told("d1", record("d1", "NS", "ns.example."), answers={"A": SAYS_US}).verdict
    assert "cannot be compared" in unknown


@pytest.mark.parametrize(("age", "lags"), [(0, True), (60, True), (61, False)])
def test_a_difference_within_one_ttl_of_a_change_is_told_as_lag(age: int, lags: bool) -> None:
    its = route("d1", state_since=NOW - timedelta(seconds=age))
    verdict = told("d1", own("d1"), its=its, answers={"A": SAYS_EU}).verdict
    assert ("may lag by 60 s" in verdict) is lags


def test_who_approved_that_data_leaves_its_residency_is_told_now_and_in_the_history() -> None:
    its = route("d1", approved_by="the data officer")
    assert "approved by the data officer: its plan sends data out of its residency" in told("d1", its=its).chain.why
    assert revision_line(its, DOMAIN)["approved by"] == "the data officer"
    assert "approved" not in str(told("d1", its=route("d1")).chain)


def test_a_line_of_history_has_its_record() -> None:
    line = revision_line(route("d1"), DOMAIN)
    assert (line["revision"], line["target"]) == ("3", "us1")
    assert line["record"] == f"CNAME us1.clusters.{DOMAIN} (60 s)"
    assert revision_line(route("d1", DEFAULT), DOMAIN)["record"] == ""
