"""Whether the way that batches take carries the fleet, and whether devices can keep what waits for a batch."""

from collections.abc import Mapping
from datetime import timedelta

from protocol.buffer_room import lasts
from protocol.keep_alive import LONGEST_KEEP_ALIVE
from protocol.traffic import SERVER_PATIENCE
from stacks.environment import BatchPath, Cluster, Fleet, HardwareModel
from stacks.rules.breach import Breach, Breaches

MOST_DEVICES_BY_LAMBDA = 10_000
"""Where every batch is a file of its own. At a batch a minute these are 14 million files a day: about 70 dollars of S3
requests (0.005 a thousand PUTs), and a day that takes half an hour to list (1,000 keys a request)."""


def large_fleets_gather_their_batches(clusters: Mapping[str, Cluster], fleet: Fleet) -> Breaches:
    """A file a batch is for small fleets."""
    for name, load in fleet.clusters.items():
        cluster = clusters.get(name)
        if cluster is None or cluster.batches is not BatchPath.LAMBDA:
            continue
        if load.devices > MOST_DEVICES_BY_LAMBDA:
            rule = f"{load.devices:,} devices would write a file a batch, and {MOST_DEVICES_BY_LAMBDA:,} at most may"
            yield Breach(("clusters", name, "batches"), rule, "write batches: kinesis, which gathers them in a stream")


def windows_leave_room_for_an_outage(models: Mapping[str, HardwareModel], fleet: Fleet) -> Breaches:
    """What waits for the stalest batch, until a silent network is noticed and until all are back, is kept row by row.

    How long the cluster itself is away comes on top, and nobody knows it; so this is the least.
    """
    away = LONGEST_KEEP_ALIVE * SERVER_PATIENCE + timedelta(minutes=fleet.recovery_minutes)
    for name, model in models.items():
        waiting = model.batch_window.stalest
        if waiting + away > lasts():
            rule = (
                f"rows that wait {_hours(waiting)} hours for their batch, and {_hours(away)} more for a lost "
                f"connection, outlast the {_hours(lasts())} hours for which a buffer keeps every row"
            )
            most = int((lasts() - away).total_seconds())
            way_out = f"write at most {most}" if most > 0 else "allow fewer recovery_minutes"
            yield Breach(("models", name, "batch_window", "stalest_seconds"), rule, way_out)


def _hours(time: timedelta) -> str:
    return f"{time / timedelta(hours=1):.1f}"
