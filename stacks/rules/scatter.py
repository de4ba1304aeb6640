"""Whether a fleet fits its quotas: all of it connected, and all of it back in time after an outage."""

import math
from collections.abc import Mapping
from datetime import timedelta

from protocol.bundle import LONGEST_RECONNECT_WINDOW
from protocol.keep_alive import KeepAliveError
from stacks.environment import Cluster, ClusterLoad, Fleet
from stacks.rules.breach import Breach, Breaches


def every_cluster_has_a_load(fleet: Fleet, clusters: Mapping[str, Cluster]) -> Breaches:
    """A cluster whose load nobody states cannot be judged; a load of no cluster judges nothing."""
    for name in clusters:
        if name not in fleet.clusters:
            rule = f"nothing says how many devices cluster {name} must carry"
            yield Breach(("fleet", "clusters"), rule, f"add {name}: {{ devices: ... }}, as many as at the end of life")
    for name in fleet.clusters:
        if name not in clusters:
            way_out = f"name one of {', '.join(clusters) or 'the clusters, once there are any'}"
            yield Breach(("fleet", "clusters", name), f"there is no cluster {name}", way_out)


def fleets_fit_their_connections(fleet: Fleet) -> Breaches:
    """Every device holds one connection."""
    for name, load in fleet.clusters.items():
        if load.devices > load.connections:
            rule = f"{load.devices:,} devices are more than the {load.connections:,} connections of the account"
            way_out = "have AWS raise the quota and write it as connections, or spread the devices over more clusters"
            yield Breach(("fleet", "clusters", name, "devices"), rule, way_out)


def fleets_come_back_in_time(fleet: Fleet) -> Breaches:
    """After an outage devices return over the window that their bundles say, so that connects stay in the quota."""
    allowed = min(timedelta(minutes=fleet.recovery_minutes), LONGEST_RECONNECT_WINDOW)
    for name, load in fleet.clusters.items():
        window = fleet.window_of(load)
        if window > allowed:
            rule = (
                f"{load.devices:,} devices need {_minutes(window)} minutes to come back at "
                f"{load.connects_per_second:,} connects/s, and {fleet.recovery_minutes} are allowed"
            )
            way_out = (
                f"have AWS raise the quota to {_enough(fleet, load, allowed):,} connects/s, spread the devices over "
                "more clusters, or allow more recovery_minutes"
            )
            yield Breach(("fleet", "clusters", name, "connects_per_second"), rule, way_out)


def operators_let_devices_stay_connected(fleet: Fleet) -> Breaches:
    """A keep-alive must lie below every timeout on its path, and no shorter than the operator bears."""
    for name in fleet.operators:
        try:
            fleet.keep_alive(name)
        except KeepAliveError as error:
            rule, _, way_out = str(error).partition("; ")
            yield Breach(("fleet", "operators", name), rule, way_out)


def _enough(fleet: Fleet, load: ClusterLoad, allowed: timedelta) -> int:
    """The smallest quota with which the fleet is back in time: by halving, for a larger one never takes longer."""
    low, high = load.connects_per_second, 2 * load.devices
    while low + 1 < high:
        middle = (low + high) // 2
        if fleet.window_of(load.model_copy(update={"connects_per_second": middle})) > allowed:
            low = middle
        else:
            high = middle
    return high


def _minutes(time: timedelta) -> int:
    return math.ceil(time / timedelta(minutes=1))
