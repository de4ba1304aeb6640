"""Where the wildcard may lead: each choice has exactly its fields, and names clusters that exist."""

from typing import Any

import pytest

from stacks.environment import Default
from stacks.rules import choice
from tests.stacks.values import clusters


def default(**fields: Any) -> Default:
    return Default.model_validate(fields)


GOOD = [
    default(choose="single", cluster="eu1"),
    default(choose="latency", clusters=["eu1", "us1"]),
    default(choose="geolocation", cluster="us1", continents={"EU": "eu1"}),
]


@pytest.mark.parametrize("good", GOOD, ids=lambda good: str(good.choose))
def test_a_choice_with_exactly_its_fields_is_accepted(good: Default) -> None:
    assert not list(choice.default_has_its_fields(good))
    assert not list(choice.latency_compares_clusters(good))
    assert not list(choice.default_clusters_exist(good, clusters()))
    assert not list(choice.europe_stays_in_the_union(good, clusters()))


@pytest.mark.parametrize(
    ("bad", "missing"),
    [
        (default(choose="single"), "cluster"),
        (default(choose="latency"), "clusters"),
        (default(choose="geolocation", continents={"EU": "eu1"}), "cluster"),
        (default(choose="geolocation", cluster="eu1"), "continents"),
    ],
)
def test_a_choice_without_a_field_it_needs_is_refused(bad: Default, missing: str) -> None:
    (breach,) = choice.default_has_its_fields(bad)
    assert breach.path == ("default",)
    assert f"needs `{missing}`" in breach.rule


@pytest.mark.parametrize(
    ("bad", "useless"),
    [
        (default(choose="single", cluster="eu1", clusters=["eu1", "us1"]), "clusters"),
        (default(choose="single", cluster="eu1", continents={"EU": "eu1"}), "continents"),
        (default(choose="latency", clusters=["eu1", "us1"], cluster="eu1"), "cluster"),
        (default(choose="geolocation", cluster="eu1", continents={"EU": "eu1"}, clusters=["eu1"]), "clusters"),
    ],
)
def test_a_field_that_the_choice_does_not_read_is_refused(bad: Default, useless: str) -> None:
    (breach,) = choice.default_has_its_fields(bad)
    assert breach.path == ("default", useless)
    assert f"reads no `{useless}`" in breach.rule


@pytest.mark.parametrize(
    ("candidates", "rules"),
    [
        (["eu1"], ["latency needs clusters to choose between"]),
        (["eu1", "us1", "eu1"], ["a candidate is named twice"]),
        (["eu1", "eu1"], ["a candidate is named twice", "latency needs clusters to choose between"]),
    ],
)
def test_latency_between_fewer_than_two_distinct_clusters_is_refused(candidates: list[str], rules: list[str]) -> None:
    breaches = choice.latency_compares_clusters(default(choose="latency", clusters=candidates))
    assert [breach.rule for breach in breaches] == rules


def test_every_cluster_that_the_default_names_must_exist() -> None:
    named = default(choose="geolocation", cluster="eu9", clusters=["eu1", "us9"], continents={"EU": "eu1", "AS": "ap9"})
    assert [breach.path for breach in choice.default_clusters_exist(named, clusters())] == [
        ("default", "cluster"),
        ("default", "clusters", 1),
        ("default", "continents", "AS"),
    ]


def test_a_rule_that_leads_europe_out_of_the_union_is_refused() -> None:
    bad = default(choose="geolocation", cluster="eu1", continents={"EU": "us1"})
    (breach,) = choice.europe_stays_in_the_union(bad, clusters())
    assert breach.path == ("default", "continents", "EU")
    assert "led to us1, whose data stays in US" in breach.rule


def test_a_fallback_that_leads_europe_out_of_the_union_is_refused() -> None:
    bad = default(choose="geolocation", cluster="us1", continents={"AS": "ap1"})
    (breach,) = choice.europe_stays_in_the_union(bad, clusters())
    assert breach.path == ("default", "cluster")


def test_a_fleet_without_a_cluster_in_the_union_may_lead_europe_by_its_fallback_only() -> None:
    elsewhere = {name: cluster for name, cluster in clusters().items() if name != "eu1"}
    fallback = default(choose="geolocation", cluster="us1", continents={"AS": "ap1"})
    named = default(choose="geolocation", cluster="us1", continents={"EU": "us1"})
    assert not list(choice.europe_stays_in_the_union(fallback, elsewhere))
    assert len(list(choice.europe_stays_in_the_union(named, elsewhere))) == 1
