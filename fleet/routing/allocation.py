"""Allocation policies: where a device belongs, from what is known of it alone. Pure, and the same on every machine.

A policy is a tree of frozen values. Leaves name a target, keep the device where it is, or spread devices by weight;
the others look at one fact and hand the device to the policy for it, or to `otherwise`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple

from fleet.routing.target import Target, cluster_target

_HASH_BYTES = 8
_BITS = 52
"""One less than a double holds exactly (IEEE 754 binary64), so that the middle of each step is exact too, and not 1."""


class Facts(NamedTuple):
    """What policies may look at. Texts are empty where nothing is known."""

    device: str
    model: str
    country: str
    """ISO 3166-1 alpha-2."""
    residency: str


@dataclass(frozen=True)
class Fixed:
    """Everybody goes there."""

    target: Target


@dataclass(frozen=True)
class Keep:
    """Everybody stays where they are."""


@dataclass(frozen=True)
class Weighted:
    """Devices are spread over clusters in proportion to the weights, each by its own hash.

    Changing one weight moves devices into or out of that cluster only, and no more than the new shares ask for.
    """

    weights: Mapping[str, float]
    """Cluster to weight: finite, above 0."""

    def __post_init__(self) -> None:
        """Refuse what has no shares."""
        if not self.weights or not all(math.isfinite(weight) and weight > 0 for weight in self.weights.values()):
            raise ValueError(f"weights {dict(self.weights)} must be numbers above 0, at least one")


@dataclass(frozen=True)
class ByResidency:
    """Where data must stay decides."""

    policies: Mapping[str, "Policy"]
    otherwise: "Policy"


@dataclass(frozen=True)
class ByCountry:
    """The country a device is used in decides."""

    policies: Mapping[str, "Policy"]
    otherwise: "Policy"


@dataclass(frozen=True)
class ByModel:
    """The hardware model decides."""

    policies: Mapping[str, "Policy"]
    otherwise: "Policy"


@dataclass(frozen=True)
class ByDevice:
    """A list of single devices."""

    policies: Mapping[str, "Policy"]
    otherwise: "Policy"


Policy = Fixed | Keep | Weighted | ByResidency | ByCountry | ByModel | ByDevice


def allocate(policy: Policy, facts: Facts) -> Target | None:
    """Where the device belongs; none where it may stay wherever it is."""
    while True:
        match policy:
            case ByResidency():
                policy = policy.policies.get(facts.residency, policy.otherwise)
            case ByCountry():
                policy = policy.policies.get(facts.country, policy.otherwise)
            case ByModel():
                policy = policy.policies.get(facts.model, policy.otherwise)
            case ByDevice():
                policy = policy.policies.get(facts.device, policy.otherwise)
            case Weighted():
                return cluster_target(rendezvous(facts.device, policy.weights))
            case Fixed():
                return policy.target
            case Keep():
                return None


def rendezvous(device: str, weights: Mapping[str, float]) -> str:
    """The cluster with the highest score -w / ln(h): weighted rendezvous hashing (Schindelhauer and Schomaker, 2005).

    Each cluster's score depends on that cluster and the device alone, which is why no other cluster's devices move
    when it changes.
    """
    if len(weights) == 1:
        return next(iter(weights))
    best, chosen = -1.0, ""
    for cluster, weight in weights.items():
        score = -weight / math.log(unit_hash(cluster, device))
        if score > best or (score == best and cluster < chosen):
            best, chosen = score, cluster
    return chosen


def unit_hash(purpose: str, device: str) -> float:
    """A number above 0 and below 1 that is as good as random, and the same everywhere.

    The first 52 bits of the BLAKE2b-64 (RFC 7693) of `<purpose>/<device>`, and one half, as parts of 2^52.
    """
    digest = blake2b(f"{purpose}/{device}".encode(), digest_size=_HASH_BYTES).digest()
    number = int.from_bytes(digest, "big") >> (8 * _HASH_BYTES - _BITS)
    return (number + 0.5) / (1 << _BITS)
