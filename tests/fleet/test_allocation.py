"""Devices are spread as the weights say, and stay where they are unless the weights say otherwise."""

import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.routing.allocation import (
    ByCountry,
    ByDevice,
    ByModel,
    ByResidency,
    Facts,
    Fixed,
    Keep,
    Policy,
    Weighted,
    allocate,
    rendezvous,
    unit_hash,
)
from fleet.routing.target import DEFAULT, Target

FLEET = [f"device-{number:04}" for number in range(4_000)]
TOLERANCE = 4.5
"""Standard deviations: one comparison in 150,000 is further off, and the fleet is always the same one anyway."""
WEIGHTS = st.dictionaries(
    st.sampled_from(["ap1", "eu1", "eu2", "us1", "us2"]), st.floats(0.1, 10), min_size=2, max_size=5
)
EU, US = Target(cluster="eu1"), Target(cluster="us1")


def spread(weights: dict[str, float]) -> dict[str, str]:
    return {device: rendezvous(device, weights) for device in FLEET}


def is_near(count: int, share: float) -> bool:
    """Whether so many of the fleet are a share of it, as far as chance allows (binomial)."""
    deviation = math.sqrt(len(FLEET) * share * (1 - share))
    return abs(count - len(FLEET) * share) <= TOLERANCE * deviation + 1


@settings(max_examples=30)
@given(WEIGHTS)
def test_shares_follow_the_weights(weights: dict[str, float]) -> None:
    counted = Counter(spread(weights).values())
    for cluster, weight in weights.items():
        assert is_near(counted[cluster], weight / sum(weights.values())), (cluster, counted)


@settings(max_examples=30)
@given(WEIGHTS, st.floats(0.1, 10), st.data())
def test_a_changed_weight_moves_devices_into_or_out_of_that_cluster_and_no_more_than_the_shares_ask_for(
    weights: dict[str, float], weight: float, data: st.DataObject
) -> None:
    changed = data.draw(st.sampled_from(sorted(weights)))
    after = weights | {changed: weight}
    moved = [
        (old, new) for old, new in zip(spread(weights).values(), spread(after).values(), strict=True) if old != new
    ]
    if weight >= weights[changed]:
        assert all(new == changed for _, new in moved), "a cluster that grows only takes"
    else:
        assert all(old == changed for old, _ in moved), "a cluster that shrinks only gives"
    needed = abs(after[changed] / sum(after.values()) - weights[changed] / sum(weights.values()))
    assert is_near(len(moved), needed)


@settings(max_examples=30)
@given(WEIGHTS, st.data())
def test_a_removed_cluster_moves_its_own_devices_only(weights: dict[str, float], data: st.DataObject) -> None:
    removed = data.draw(st.sampled_from(sorted(weights)))
    before, after = spread(weights), spread({name: weights[name] for name in weights if name != removed})
    for device in FLEET:
        assert before[device] == removed or before[device] == after[device]


@given(WEIGHTS, st.floats(0.01, 100))
def test_only_the_proportions_of_weights_count(weights: dict[str, float], factor: float) -> None:
    scaled = {name: weight * factor for name, weight in weights.items()}
    differing = sum(rendezvous(device, weights) != rendezvous(device, scaled) for device in FLEET[:500])
    assert differing == 0


@given(WEIGHTS)
def test_the_order_of_clusters_does_not_count(weights: dict[str, float]) -> None:
    turned = dict(reversed(weights.items()))
    assert all(rendezvous(device, weights) == rendezvous(device, turned) for device in FLEET[:500])


@given(st.text(), st.text())
def test_a_hash_lies_between_0_and_1(purpose: str, device: str) -> None:
    assert 0 < unit_hash(purpose, device) < 1, "0 and 1 have no finite score"


def test_the_greatest_and_the_least_hash_have_a_score(monkeypatch: pytest.MonkeyPatch) -> None:
    class Extreme:
        def __init__(self, digest: bytes) -> None:
            self.digest = lambda: digest

    for digest in (b"\0" * 8, b"\xff" * 8):
        monkeypatch.setattr("fleet.routing.allocation.blake2b", lambda *_, digest=digest, **__: Extreme(digest))
        assert 0 < unit_hash("eu1", "device1") < 1


@pytest.mark.parametrize(
    ("device", "hash_of_eu1", "cluster"),
    [
        ("device1", "0x1.2204e13e95662p-2", "eu2"),
        ("device2", "0x1.1190c36ff9761p-1", "eu1"),
        ("fl100-ferry-0042", "0x1.04390d0c0b44cp-3", "eu2"),
        ("a", "0x1.1c11c8b962240p-7", "eu2"),
    ],
)
def test_golden_a_device_gets_the_same_cluster_on_every_machine(device: str, hash_of_eu1: str, cluster: str) -> None:
    # These may never change: a new result would move the whole fleet. Worked out apart from this code, with b2sum.
    assert unit_hash("eu1", device).hex() == hash_of_eu1
    assert rendezvous(device, {"eu1": 3, "eu2": 1, "us1": 1}) == cluster


@pytest.mark.parametrize("weights", [{}, {"eu1": 0.0}, {"eu1": -1.0}, {"eu1": float("inf")}, {"eu1": float("nan")}])
def test_weights_without_shares_cannot_be_made(weights: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="numbers above 0"):
        Weighted(weights)


TREE: Policy = ByDevice(
    {"special": Fixed(US)},
    ByModel(
        {"fl50": Keep()},
        ByCountry({"CH": Fixed(EU)}, ByResidency({"US": Weighted({"us1": 1, "us2": 1})}, Fixed(DEFAULT))),
    ),
)


@pytest.mark.parametrize(
    ("facts", "target"),
    [
        (Facts("special", "fl50", "CH", "US"), US),
        (Facts("device1", "fl50", "CH", "US"), None),
        (Facts("device1", "fl100", "CH", "US"), EU),
        (Facts("device1", "", "", ""), DEFAULT),
    ],
)
def test_the_first_fact_that_is_listed_decides(facts: Facts, target: Target | None) -> None:
    assert allocate(TREE, facts) == target


def test_a_residency_may_hold_several_clusters() -> None:
    chosen = {allocate(TREE, Facts(device, "fl100", "US", "US")) for device in FLEET[:50]}
    assert chosen == {Target(cluster="us1"), Target(cluster="us2")}
