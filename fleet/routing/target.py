"""Where a device is sent: a cluster by its label, an address, or wherever the wildcard leads."""

import ipaddress
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

from protocol.hostnames import DEFAULT_LABEL

_CLUSTER = re.compile(r"[a-z][a-z0-9-]*")


class InvalidTargetError(ValueError):
    """A text that names no target; the message says what it may be."""


@dataclass(frozen=True, order=True)
class Target:
    """At most one of the two is set; neither means the default: no record of the device's own."""

    cluster: str = ""
    """The label of a cluster in the outputs."""
    address: str = ""
    """An IPv4 or IPv6 address, in its canonical text form."""

    def __post_init__(self) -> None:
        """Refuse what cannot be: a device has one way to go."""
        if self.cluster and self.address:
            raise InvalidTargetError(f"a target is the cluster {self.cluster} or the address {self.address}, not both")

    def __hash__(self) -> int:
        """Of the one text that is set, which keeps its own: targets are looked up for every device."""
        return hash(self.cluster or self.address)

    @classmethod
    def parse(cls, text: str) -> Self:
        """`default`, a cluster's label, or an address; `InvalidTargetError`."""
        if text == DEFAULT_LABEL:
            return cls()
        if _CLUSTER.fullmatch(text):
            return cls(cluster=text)
        try:
            return cls(address=str(ipaddress.ip_address(text)))
        except ValueError:
            raise InvalidTargetError(
                f"{text!r} is no target; give a cluster's label, an IP address, or `{DEFAULT_LABEL}`"
            ) from None

    @property
    def is_default(self) -> bool:
        """Whether the wildcard answers for the device."""
        return not (self.cluster or self.address)

    def __str__(self) -> str:
        """The text that `parse` takes."""
        return self.cluster or self.address or DEFAULT_LABEL


DEFAULT = Target()


@lru_cache(256)
def cluster_target(cluster: str) -> Target:
    """The target of a cluster's label, the same object each time: whole fleets are sent to a few of them."""
    return Target(cluster=cluster)
