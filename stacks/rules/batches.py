"""Whether the way that batches take carries the fleet."""

from collections.abc import Mapping

from stacks.environment import BatchPath, Cluster, Fleet
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
