import asyncio

import dns.rcode
import pytest

from device.resolution import HostPort, ResolutionError, resolve_route
from protocol.device_id import parse_device_id
from tests.device.loopback import dns_server

DOMAIN = "iot.example.com"
DEVICE = parse_device_id("device1")
NAME = f"device1.gw.{DOMAIN}."


def test_the_chain_is_followed_and_the_cluster_is_the_server_name() -> None:
    with dns_server(
        f"{NAME} 60 IN CNAME default.{DOMAIN}.",
        f"default.{DOMAIN}. 60 IN CNAME eu1.clusters.{DOMAIN}.",
        f"eu1.clusters.{DOMAIN}. 60 IN CNAME abc-ats.iot.eu-west-1.amazonaws.com.",
        "abc-ats.iot.eu-west-1.amazonaws.com. 60 IN A 192.0.2.1",
    ) as resolver:
        route = asyncio.run(resolve_route(DEVICE, DOMAIN, resolver=resolver))
    assert route.server_name == f"eu1.clusters.{DOMAIN}"
    assert route.chain == (
        f"device1.gw.{DOMAIN}",
        f"default.{DOMAIN}",
        f"eu1.clusters.{DOMAIN}",
        "abc-ats.iot.eu-west-1.amazonaws.com",
    )


def test_an_address_of_its_own_makes_the_device_expect_its_own_name() -> None:
    with dns_server(f"{NAME} 60 IN A 192.0.2.100") as resolver:
        route = asyncio.run(resolve_route(DEVICE, DOMAIN, resolver=resolver))
    assert (route.chain, route.server_name) == ((f"device1.gw.{DOMAIN}",), f"device1.gw.{DOMAIN}")


def test_a_chain_whose_end_has_no_address_yet_still_names_its_cluster() -> None:
    with dns_server(f"{NAME} 60 IN CNAME us1.clusters.{DOMAIN}.") as resolver:
        assert asyncio.run(resolve_route(DEVICE, DOMAIN, resolver=resolver)).server_name == f"us1.clusters.{DOMAIN}"


def test_a_name_that_does_not_exist_says_so() -> None:
    with (
        dns_server(rcode=dns.rcode.NXDOMAIN) as resolver,
        pytest.raises(ResolutionError, match="there is no such name"),
    ):
        asyncio.run(resolve_route(DEVICE, DOMAIN, resolver=resolver))


def test_a_name_with_no_record_to_follow_hints_at_the_hidden_wildcard() -> None:
    with dns_server() as resolver, pytest.raises(ResolutionError, match="may hide the wildcard"):
        asyncio.run(resolve_route(DEVICE, DOMAIN, resolver=resolver))


@pytest.mark.parametrize("text", ["", "localhost", "localhost:", ":53", "host:0", "host:65536", "host:five"])
def test_what_is_no_host_and_port_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not HOST:PORT, such as"):
        HostPort.parse(text, option="--proxy")


@pytest.mark.parametrize(
    ("text", "said"),
    [("localhost:5353", "--dns: 'localhost' is no IP address"), ("127.0.0.1", "is not ADDRESS:PORT, such as")],
)
def test_what_is_no_address_of_a_resolver_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        HostPort.parse_address(text, option="--dns")


def test_a_resolver_may_have_an_address_of_version_6() -> None:
    assert HostPort.parse_address("[::1]:5353", option="--dns") == HostPort("::1", 5353)
