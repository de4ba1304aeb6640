"""What a deployment offers to be sent to: its clusters, where its wildcard leads, and what Pulumi keeps for itself."""

from collections.abc import Mapping
from dataclasses import dataclass

from fleet.routing.target import DEFAULT, Target, cluster_target


@dataclass(frozen=True, kw_only=True)
class Place:
    """One cluster."""

    kind: str
    """As `stacks.environment.ClusterKind`."""
    residency: str
    """As `stacks.environment.Residency`."""
    server_name: str
    """What it serves to devices that verify it."""
    max_connections: int
    """Its account's quota, as the stack file states it."""
    max_connects_per_second: int
    """Likewise, of new connections."""


@dataclass(frozen=True, kw_only=True)
class Places:
    """One environment's clusters, and how the default chooses among them."""

    domain: str
    clusters: Mapping[str, Place]
    default: tuple[str, ...]
    """Clusters that the wildcard may lead to; exactly one where it does not choose."""
    default_follows_the_place: bool
    """Whether the default chooses by where a device asks from; a stack that would lead Europe out of the EU is refused
    when it is deployed."""
    pins: Mapping[str, Target]
    """Devices whose names Pulumi owns, and where they go."""

    @property
    def single_default(self) -> str:
        """The one cluster behind the wildcard; empty when there are several."""
        return self.default[0] if len(self.default) == 1 else ""

    def leads_to(self, target: Target) -> tuple[str, ...]:
        """The clusters a device may come to; none behind an address."""
        if target.is_default:
            return self.default
        return (target.cluster,) if target.cluster else ()

    def shortest(self, cluster: str) -> Target:
        """How a device is sent to a cluster for good: without a record of its own where the default leads there."""
        return DEFAULT if cluster == self.single_default else cluster_target(cluster)
