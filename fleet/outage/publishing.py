"""A quiet day: how many batches a second a fleet publishes, by the schedule of the contract and all together."""

import numpy as np
from numpy.random import Generator

from fleet.outage.policy import Counts, Floats
from protocol import traffic

PUBLISHES_PER_SECOND = 20_000
"""What one account takes (AWS IoT Core quotas, inbound publish requests)."""


def synchronized(devices: int, seconds: int) -> Counts:
    """Everyone publishes once a minute, the mean of the contract, and all in the same second.

    Publishes a second, from second 0, at which all start.
    """
    mean = (traffic.PUBLISH_FIXED + traffic.PUBLISH_RANDOM / 2).total_seconds()
    told = np.zeros(seconds, dtype=np.int64)
    told[:: int(mean)] = devices
    return told


def scheduled(devices: int, seconds: int, random: Generator) -> Counts:
    """Everyone starts at the same second, the worst there is, and then follows `protocol.traffic.publish_delay`."""
    fixed, width = traffic.PUBLISH_FIXED.total_seconds(), traffic.PUBLISH_RANDOM.total_seconds()
    told = np.zeros(seconds, dtype=np.int64)
    times: Floats = np.zeros(devices)
    while len(times):
        told += np.bincount(times.astype(np.int64), minlength=seconds)
        times = times + fixed + width * random.random(len(times))
        times = times[times < seconds]
    return told
