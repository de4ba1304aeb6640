"""Which name a device dials, and which server name it must see there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.device_id import DeviceId
from protocol.hostnames import cluster_hostname, default_hostname, device_hostname, server_name, wildcard_hostname

DOMAIN = "iot.example.com"
DEVICE = DeviceId("device1")
OWN = "device1.gw.iot.example.com"
EU1 = "eu1.clusters.iot.example.com"
LABELS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)


def test_the_names_of_a_fleet_are_these() -> None:
    assert device_hostname(DEVICE, DOMAIN) == OWN
    assert wildcard_hostname(DOMAIN) == "*.gw.iot.example.com"
    assert default_hostname(DOMAIN) == "default.iot.example.com"
    assert cluster_hostname("eu1", DOMAIN) == EU1


@pytest.mark.parametrize(
    ("chain", "expected"),
    [
        ([OWN, "default.iot.example.com", EU1, "abc-ats.iot.eu-west-1.amazonaws.com"], EU1),
        ([OWN, EU1], EU1),
        ([OWN.upper() + ".", "EU1.Clusters.IoT.Example.COM."], EU1),
        ([OWN, "us1.clusters.iot.example.com", EU1], "us1.clusters.iot.example.com"),
        ([OWN], OWN),
        ([], OWN),
        ([OWN, "gateway.plant.example.net"], OWN),
        # Not one label before clusters.<domain>: no certificate of a cluster covers these.
        ([OWN, "clusters.iot.example.com"], OWN),
        ([OWN, ".clusters.iot.example.com"], OWN),
        ([OWN, "a.eu1.clusters.iot.example.com"], OWN),
        # Another's names that only look like ours.
        ([OWN, "eu1.clusters.iot.example.com.attacker.example"], OWN),
        ([OWN, "eu1.clusters.notiot.example.com"], OWN),
        ([OWN, "eu1-clusters.iot.example.com"], OWN),
        ([OWN, "eu1.clusters.example.com"], OWN),
    ],
)
def test_the_server_name_is_the_first_cluster_of_the_chain_or_the_devices_own(chain: list[str], expected: str) -> None:
    assert server_name(chain, DEVICE, DOMAIN) == expected


@given(cluster=LABELS, device=LABELS, before=st.lists(LABELS, max_size=3), after=st.lists(LABELS, max_size=3))
def test_a_chain_through_one_cluster_ends_in_its_name_wherever_it_stands(
    cluster: str, device: str, before: list[str], after: list[str]
) -> None:
    chain = [f"{label}.gw.{DOMAIN}" for label in before]
    chain += [cluster_hostname(cluster, DOMAIN)]
    chain += [f"{label}.example.net" for label in after]
    assert server_name(chain, DeviceId(device), DOMAIN) == f"{cluster}.clusters.{DOMAIN}"


@given(st.lists(st.text(max_size=40), max_size=5))
def test_no_chain_makes_a_device_trust_a_name_outside_its_fleet(chain: list[str]) -> None:
    name = server_name(chain, DEVICE, DOMAIN)
    assert name == OWN or name.endswith(f".clusters.{DOMAIN}")


@given(st.lists(st.text(max_size=20).map(lambda text: f"{text}.clusters.{DOMAIN}"), min_size=1, max_size=3))
def test_exactly_one_label_stands_before_the_clusters_of_the_fleet(chain: list[str]) -> None:
    name = server_name(chain, DEVICE, DOMAIN)
    label = name.removesuffix(f".clusters.{DOMAIN}")
    assert name == OWN or (label and "." not in label)
