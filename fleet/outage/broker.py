"""What a cluster does with more connects than it can take: refuse them, or let them wait until they are stale.

Both are asked for one second's attempts at a time, in the order of time, and say when each device is let in; NaN means
not, and the device will know `answer_seconds` after it dialled.
"""

from abc import ABC, abstractmethod

import numpy as np

from fleet.outage.policy import Floats

ANSWER_SECONDS = 0.15
"""From dialling to a refusal: a TCP and a TLS round trip over a mobile network."""
HANDSHAKE_SECONDS = 10.0
"""How long a device waits for its handshake before it gives up: what MQTT client libraries ship with."""


class Broker(ABC):
    """A cluster that is there again."""

    name: str
    answer_seconds: float

    def __init__(self, connects_per_second: int) -> None:
        self.connects_per_second = connects_per_second

    @abstractmethod
    def admit(self, times: Floats, second: int) -> Floats:
        """When each attempt of this second is let in. `times` ascend; a second may be asked about more than once."""


class RefusingBroker(Broker):
    """Takes the quota each second and refuses the rest at once, as AWS IoT Core does."""

    name = "refuses"
    answer_seconds = ANSWER_SECONDS
    _second = -1
    _left = 0

    def admit(self, times: Floats, second: int) -> Floats:
        """The first of each second, up to the quota."""
        if second != self._second:
            self._second, self._left = second, self.connects_per_second
        taken = min(self._left, len(times))
        self._left -= taken
        return np.concatenate([times[:taken], np.full(len(times) - taken, np.nan)])


class QueueingBroker(Broker):
    """Does one handshake after another, the stale ones too: it cannot know who has given up.

    So under a load above its rate it soon works for nobody, and stays so (a mosquitto behaves like this).
    """

    name = "queues"
    answer_seconds = HANDSHAKE_SECONDS
    _free_at = 0.0

    def admit(self, times: Floats, second: int) -> Floats:  # noqa: ARG002 - a queue knows no seconds
        """First come, first served, at one a `1 / connects_per_second`."""
        cost = 1 / self.connects_per_second
        place = np.arange(len(times)) * cost
        done = np.maximum(np.maximum.accumulate(times - place), self._free_at) + place + cost
        self._free_at = float(done[-1])
        return np.where(done - times <= self.answer_seconds, done, np.nan)


BROKERS: dict[str, type[Broker]] = {broker.name: broker for broker in (RefusingBroker, QueueingBroker)}
"""By the name they have on the command line."""
