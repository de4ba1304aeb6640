"""How a single value of a stack file must be written; a refusal says the rule and the way out.

The refusals are pydantic errors of type `stack`, whose context carries `rule` and `way_out` for `stacks.explain`.
"""

import re
from collections.abc import Callable
from datetime import date
from ipaddress import AddressValueError, IPv4Address
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, StringConstraints
from pydantic_core import PydanticCustomError

REFUSAL = "stack"
"""The pydantic error type of everything refused here."""


def refusal(rule: str, way_out: str) -> PydanticCustomError:
    """The error to raise for a value that breaks `rule`."""
    return PydanticCustomError(REFUSAL, "{rule}; {way_out}", {"rule": rule, "way_out": way_out})


def matching(pattern: str, *, longest: int, rule: str, way_out: str) -> AfterValidator:
    """A text that matches `pattern` as a whole and has at most `longest` characters."""
    compiled = re.compile(pattern)

    def check(text: str) -> str:
        if len(text) > longest or not compiled.fullmatch(text):
            raise refusal(f"{text!r} is not allowed here: {rule}", way_out)
        return text

    return AfterValidator(check)


def usable_address(text: str) -> str:
    """An IPv4 address that a device can open a connection to."""
    try:
        address = IPv4Address(text)
    except AddressValueError as error:
        raise refusal(f"{text!r} is no IPv4 address ({error})", "write four numbers, such as 192.0.2.100") from error
    kinds: dict[str, Callable[[], bool]] = {
        "the unspecified network 0.0.0.0/8": lambda: address.packed[0] == 0,
        "a loopback address": lambda: address.is_loopback,
        "a link-local address": lambda: address.is_link_local,
        "a multicast address": lambda: address.is_multicast,
        "a reserved or broadcast address": lambda: address.is_reserved,
    }
    for kind, holds in kinds.items():
        if holds():
            raise refusal(f"{text} is {kind}, which no device can reach", "give the gateway's own unicast address")
    return text


def day(value: Any) -> Any:
    """A date given bare or, as Pulumi needs it, in quotes; anything else is left for the type to refuse.

    The Pulumi CLI rewrites a bare date when it saves a stack file (`2036-12-31 00:00:00 +0000 UTC`); a text it keeps.
    """
    if isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError as error:
            raise refusal(f"{value!r} is no date", 'write it in quotes, as "2036-12-31"') from error
    return value


Label = Annotated[
    str,
    matching(
        r"[a-z][a-z0-9-]*[a-z0-9]",
        longest=31,
        rule="a name is 2 to 31 lower-case letters, digits and hyphens, from a letter to a letter or digit",
        way_out="rename it, such as eu1 or line-a",
    ),
]
"""A name of ours that becomes part of DNS and AWS names."""
StackName = Annotated[
    str,
    matching(
        r"[a-z][a-z0-9-]*[a-z0-9]",
        longest=16,
        rule="a stack's name is 2 to 16 lower-case letters, digits and hyphens, so that bucket names fit in 63",
        way_out="give the name of a file stacks/Pulumi.<stack>.yaml",
    ),
]
"""An environment's name; `flotilla-<name>-<region>-<purpose>-<account>` must be a bucket name (S3: 63 characters)."""
Domain = Annotated[
    str,
    matching(
        r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}",
        longest=180,
        rule="a domain is lower-case labels with dots between, at most 180 characters, without a trailing dot",
        way_out="write it such as iot.example.com",
    ),
]
"""A DNS domain in lower case, short enough to leave room for `<device>.gw.` (RFC 1035: 255 octets)."""
Region = Annotated[
    str,
    matching(
        r"[a-z]{2}(-[a-z]+)+-[0-9]",
        longest=20,
        rule="a region is an AWS region code",
        way_out="write it such as eu-west-1",
    ),
]
"""An AWS region code."""
Text = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]
CommonName = Annotated[str, StringConstraints(min_length=1, max_length=64, strip_whitespace=True)]
"""X.520, ub-common-name: 64 characters."""
TagValue = Annotated[
    str,
    matching(
        r"[\w .:/=+@-]+",
        longest=200,
        rule="it becomes an AWS tag: 1 to 200 letters, digits, spaces and _ . : / = + - @",
        way_out="name the team with these characters, such as platform-team",
    ),
]
"""A text that AWS takes as the value of a tag (256 characters at most; AWS, Tagging Best Practices)."""
Ipv4 = Annotated[str, AfterValidator(usable_address)]
Day = Annotated[date, BeforeValidator(day)]
