"""How single values must be written, at the edges of each rule."""

from datetime import date
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from protocol.device_id import MAX_DEVICE_ID_CHARACTERS, DeviceId
from protocol.hostnames import device_hostname
from stacks.environment import Pin
from stacks.grammar import Day, Domain, Ipv4, Label, Region, StackName, TagValue

MAX_NAME_OCTETS = 253
"""RFC 1035: 255 octets on the wire, with a length before each label and the root after them."""


def accepted(kind: Any, value: Any) -> bool:
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize("text", ["ab", "a1", "line-a", "a" * 31, "a--b"])
def test_names_are_accepted(text: str) -> None:
    assert accepted(Label, text)


@pytest.mark.parametrize("text", ["", "a", "1a", "-a", "a-", "A1", "a_b", "a.b", "a" * 32, "ab\n", "äb", "a b"])
def test_what_is_no_name_is_refused(text: str) -> None:
    assert not accepted(Label, text)


def test_bucket_names_of_the_longest_stack_name_fit() -> None:
    stack = "s" * 16
    assert accepted(StackName, stack)
    assert not accepted(StackName, stack + "s")
    assert len(f"flotilla-{stack}-ap-southeast-2-firmware-123456789012") <= 63


@pytest.mark.parametrize("text", ["example.com", "a.b.c.example.co", "x-1.io", f"{'a' * 63}.example", "1.example.com"])
def test_domains_are_accepted(text: str) -> None:
    assert accepted(Domain, text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "com",
        "example.com.",
        ".example.com",
        "a..b",
        "-a.com",
        "a-.com",
        "A.com",
        f"{'a' * 64}.com",
        "a.1",
        "a.com\n",
    ],
)
def test_what_is_no_domain_is_refused(text: str) -> None:
    assert not accepted(Domain, text)


def test_the_longest_device_id_fits_under_the_longest_domain() -> None:
    domain = ".".join(["a" * 58] * 3) + ".io"
    assert len(domain) == 179
    assert accepted(Domain, domain)
    assert accepted(Domain, domain + "t")
    assert not accepted(Domain, domain + "ta")
    device = DeviceId("d" * MAX_DEVICE_ID_CHARACTERS)
    assert len(device_hostname(device, domain + "t")) <= MAX_NAME_OCTETS


@pytest.mark.parametrize(
    ("text", "good"), [("eu-west-1", True), ("us-gov-east-1", True), ("eu-west", False), ("EU-west-1", False)]
)
def test_regions_are_written_as_aws_does(text: str, good: bool) -> None:
    assert accepted(Region, text) is good


@pytest.mark.parametrize(
    ("text", "good"), [("platform-team", True), ("Équipe 1: ops@x", True), ("R&D", False), ("", False), ("a\n", False)]
)
def test_an_owner_is_what_a_tag_can_hold(text: str, good: bool) -> None:
    assert accepted(TagValue, text) is good


@pytest.mark.parametrize("text", ["192.0.2.100", "10.0.0.1", "172.16.0.1", "192.168.1.1", "223.255.255.255", "1.0.0.0"])
def test_addresses_a_device_can_reach_are_accepted(text: str) -> None:
    assert accepted(Ipv4, text)


UNREACHABLE = [
    IPv4Network(text) for text in ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4")
]
"""This network, loopback, link-local, multicast, reserved with broadcast (RFC 6890, RFC 5771)."""


@given(st.sampled_from(UNREACHABLE).flatmap(lambda network: st.ip_addresses(network=network)))
def test_addresses_no_device_can_reach_are_refused(address: IPv4Address) -> None:
    assert not accepted(Ipv4, str(address))


@given(st.ip_addresses(v=4))
def test_an_address_is_accepted_exactly_when_it_is_in_no_unreachable_network(address: IPv4Address) -> None:
    assert accepted(Ipv4, str(address)) is not any(address in network for network in UNREACHABLE)


@pytest.mark.parametrize("text", ["", "192.0.2", "192.0.2.256", "192.0.2.01", "192.0.2.1 ", "::1", "gateway.local"])
def test_what_is_no_ipv4_address_is_refused(text: str) -> None:
    assert not accepted(Ipv4, text)


@given(st.dates())
def test_a_day_is_the_same_bare_and_in_quotes(day: date) -> None:
    assert TypeAdapter(Day).validate_python(day) == TypeAdapter(Day).validate_python(day.isoformat()) == day


@pytest.mark.parametrize(
    "value", ["2036-02-30", "31.12.2036", "soon", "", 20361231, None, "2036-12-31 00:00:00 +0000 UTC"]
)
def test_what_is_no_day_is_refused(value: object) -> None:
    fields = {"device": "d", "cluster": "eu1", "owner": "qa", "reason": "r", "expires": value}
    assert not accepted(Pin, fields)
