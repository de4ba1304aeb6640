"""Which devices to ask a resolver about: all of a small fleet, a fair share of a large one."""

from dataclasses import dataclass, field
from random import Random

from fleet.routing.holding import Holding
from protocol.device_id import DeviceId

MADE_UP = "no-record"
"""How names begin that nobody holds a record for: the wildcard must answer them."""


@dataclass
class Sample:
    """Offered one holding after the other, keeps at most `size`, each with the same chance (reservoir sampling)."""

    size: int
    chance: Random
    """Seeded: the same fleet is asked about the same devices."""
    kept: list[Holding] = field(default_factory=list)
    offered: int = 0

    def offer(self, holding: Holding) -> None:
        """Perhaps keep it."""
        self.offered += 1
        if len(self.kept) < self.size:
            self.kept.append(holding)
        elif (place := self.chance.randrange(self.offered)) < self.size:
            self.kept[place] = holding

    def made_up(self, count: int) -> list[DeviceId]:
        """Names that no device has."""
        return [DeviceId(f"{MADE_UP}-{self.chance.getrandbits(64):016x}") for _ in range(count)]
