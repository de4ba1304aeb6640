"""Devices with a record of their own: few, current, each once, and never against a promise of residency."""

from collections.abc import Mapping, Sequence
from datetime import date

from stacks.environment import MAX_PINNED_DEVICES, Cluster, Pin
from stacks.rules.breach import Breach, Breaches
from stacks.rules.places import RESERVED_LABELS


def few_pins(pins: Sequence[Pin]) -> Breaches:
    """More than a reviewer can see belongs to `fleet route` (design decision 5)."""
    if len(pins) > MAX_PINNED_DEVICES:
        rule = f"{len(pins)} devices are pinned, and a stack file holds at most {MAX_PINNED_DEVICES}"
        yield Breach(
            ("pins", MAX_PINNED_DEVICES), rule, "move devices by `fleet route`, and pin what a reviewer must see"
        )


def devices_pinned_once(pins: Sequence[Pin]) -> Breaches:
    """One device has one record."""
    first: dict[str, int] = {}
    for index, pin in enumerate(pins):
        other = first.setdefault(pin.device, index)
        if other != index:
            rule = f"device {pin.device} is pinned by pins[{other}] already"
            yield Breach(("pins", index, "device"), rule, "keep one of the two")


def pinned_names_are_free(pins: Sequence[Pin], clusters: Mapping[str, Cluster]) -> Breaches:
    """A pinned device is named apart from clusters and the zone's own labels, in plans as in conversation."""
    for index, pin in enumerate(pins):
        if pin.device in RESERVED_LABELS or pin.device in clusters:
            what = "a cluster's name" if pin.device in clusters else "a label of the zone"
            way_out = "a device cannot be renamed: route it by `fleet route`, or rename the cluster"
            yield Breach(("pins", index, "device"), f"device id {pin.device} is {what} too", way_out)


def pins_have_one_target(pins: Sequence[Pin]) -> Breaches:
    """A record leads to a cluster or to an address."""
    for index, pin in enumerate(pins):
        if (pin.cluster is None) == (pin.address is None):
            rule = f"a pin has exactly one of cluster and address, and this has {'both' if pin.cluster else 'neither'}"
            yield Breach(("pins", index), rule, "remove one of the two" if pin.cluster else "add one of the two")


def pin_targets_exist(pins: Sequence[Pin], clusters: Mapping[str, Cluster]) -> Breaches:
    """A pin leads to a cluster of this environment."""
    for index, pin in enumerate(pins):
        if pin.cluster is not None and pin.cluster not in clusters:
            way_out = f"name one of {', '.join(clusters) or 'the clusters, once there are any'}"
            yield Breach(("pins", index, "cluster"), f"there is no cluster {pin.cluster}", way_out)


def pins_keep_residency(pins: Sequence[Pin], clusters: Mapping[str, Cluster]) -> Breaches:
    """Data that must stay somewhere is not pinned elsewhere; of a bare address nobody knows where it is."""
    for index, pin in enumerate(pins):
        if pin.residency is None:
            continue
        fitting = [name for name, cluster in clusters.items() if cluster.residency is pin.residency]
        way_out = f"pin it to {' or '.join(fitting) or 'a cluster there, once there is one'}, or correct the residency"
        if pin.address is not None:
            rule = f"nothing proves that address {pin.address} keeps data in {pin.residency}"
            yield Breach(("pins", index, "address"), rule, way_out)
        elif pin.cluster is not None and pin.cluster in clusters and pin.cluster not in fitting:
            rule = f"the device's data must stay in {pin.residency}, and cluster {pin.cluster} keeps it in "
            yield Breach(("pins", index, "cluster"), f"{rule}{clusters[pin.cluster].residency}", way_out)


def pins_stand(pins: Sequence[Pin], today: date) -> Breaches:
    """A pin is an exception, and exceptions end: `expires` is the last day."""
    for index, pin in enumerate(pins):
        if pin.expires < today:
            rule = f"the pin of {pin.device} expired on {pin.expires}"
            yield Breach(("pins", index, "expires"), rule, f"remove it, or have {pin.owner} renew it with its reason")
