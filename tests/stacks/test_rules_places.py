"""Where an environment may live: each rule refuses one case and accepts the one beside it."""

import pytest

from stacks.environment import Cluster
from stacks.regions import iot_regions
from stacks.rules import places
from tests.stacks.values import cluster, clusters


def test_an_environment_without_clusters_is_refused() -> None:
    assert [breach.path for breach in places.some_cluster({})] == [("clusters",)]
    assert not list(places.some_cluster({"eu1": cluster()}))


def test_a_region_that_two_clusters_use_is_refused() -> None:
    (breach,) = places.one_cluster_a_region({"eu1": cluster(), "eu2": cluster()})
    assert breach.path == ("clusters", "eu2", "region")
    assert "used by cluster eu1 already" in breach.rule


def test_two_regions_of_one_residency_are_accepted() -> None:
    assert not list(places.one_cluster_a_region({"eu1": cluster(), "eu2": cluster("eu-north-1")}))


def test_a_region_without_iot_core_is_refused_with_those_that_are_spelt_nearly_so() -> None:
    (breach,) = places.regions_have_iot({"eu1": cluster(), "us1": cluster("us-east-9", "US")}, iot_regions())
    assert breach.path == ("clusters", "us1", "region")
    assert breach.rule.startswith("AWS IoT Core is in no region us-east-9")
    assert "us-east-1" in breach.way_out


@pytest.mark.parametrize(
    ("region", "residency"),
    [
        ("us-east-1", "EU"),
        ("eu-west-1", "US"),
        ("ap-south-1", "US"),
        ("eu-west-1", "AP"),
        ("ca-central-1", "US"),
        ("sa-east-1", "AP"),
        # Their codes begin with eu-, and their data centres stand outside the European Union.
        ("eu-west-2", "EU"),
        ("eu-central-2", "EU"),
    ],
)
def test_a_region_outside_its_residency_is_refused(region: str, residency: str) -> None:
    (breach,) = places.regions_in_residency({"here": cluster(region, residency)})
    assert breach.path == ("clusters", "here", "region")
    assert region in breach.rule
    assert residency in breach.rule


@pytest.mark.parametrize(
    ("region", "residency"),
    [("eu-west-1", "EU"), ("eu-central-1", "EU"), ("us-west-2", "US"), ("ap-southeast-2", "AP")],
)
def test_a_region_inside_its_residency_is_accepted(region: str, residency: str) -> None:
    assert not list(places.regions_in_residency({"here": cluster(region, residency)}))


def test_an_edge_cluster_is_refused_until_it_can_be_deployed() -> None:
    (breach,) = places.managed_clusters_only({"eu1": cluster(), "plant": cluster("eu-north-1", kind="edge")})
    assert breach.path == ("clusters", "plant", "kind")
    assert "cannot be deployed yet" in breach.rule
    assert "kind: managed" in breach.way_out


@pytest.mark.parametrize("name", ["default", "gw", "clusters"])
def test_a_cluster_named_like_a_label_of_the_zone_is_refused(name: str) -> None:
    assert [breach.path for breach in places.cluster_names_are_free({name: cluster()})] == [("clusters", name)]
    assert not list(places.cluster_names_are_free({f"{name}1": cluster()}))


def test_a_cluster_named_default_is_refused_for_what_a_route_would_read_in_it() -> None:
    (breach,) = places.cluster_names_are_free({"eu1": cluster(), "default": cluster("eu-north-1")})
    assert "`fleet route` takes it for wherever the wildcard leads" in breach.rule
    assert "rename the cluster" in breach.way_out


def test_a_home_region_without_a_cluster_is_refused() -> None:
    (breach,) = places.home_beside_a_cluster("eu-north-1", clusters())
    assert breach.path == ("home_region",)
    assert "ap-southeast-2, eu-west-1, us-east-1" in breach.way_out
    assert not list(places.home_beside_a_cluster("ap-southeast-2", clusters()))


def test_a_server_name_longer_than_a_certificate_takes_is_refused() -> None:
    domain = f"{'d' * 46}.io"
    fits: dict[str, Cluster] = {"eu12": cluster()}
    assert len(f"eu12.clusters.{domain}") == places.MAX_CERTIFICATE_NAME - 1
    assert not list(places.server_names_fit_a_certificate(domain, fits))
    assert not list(places.server_names_fit_a_certificate(domain, {"eu123": cluster()}))
    (breach,) = places.server_names_fit_a_certificate(domain, {**fits, "eu1234": cluster()})
    assert breach.path == ("clusters", "eu1234")
    assert "has 65 characters" in breach.rule


@pytest.mark.parametrize("other", ["iot.example.com", "eu.iot.example.com", "example.com"])
def test_a_domain_that_equals_or_contains_or_lies_in_that_of_another_stack_is_refused(other: str) -> None:
    (breach,) = places.domains_apart("iot.example.com", {"other": other})
    assert breach.path == ("domain",)
    assert f"overlaps {other} of stack other" in breach.rule


@pytest.mark.parametrize(
    "other", ["iot-dev.example.com", "notiot.example.com", "iot.example.org", "iot.example.com.au"]
)
def test_a_domain_beside_that_of_another_stack_is_accepted(other: str) -> None:
    assert not list(places.domains_apart("iot.example.com", {"other": other}))
