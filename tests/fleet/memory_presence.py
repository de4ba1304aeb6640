"""Presence in memory: one cluster with connections that begin and end, and an index that learns of it late.

A lag that changes from look to look makes the index go back in time as well, as late and swapped events do.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from fleet.routing.presence import Sighting
from protocol.device_id import DeviceId


@dataclass
class MemoryPresence:
    """One cluster. `lag`: how old what the index answers is, asked at each look."""

    cluster: str
    clock: Callable[[], datetime]
    lag: Callable[[], timedelta] = timedelta
    facts: dict[DeviceId, list[Sighting]] = field(default_factory=dict)
    """Every connection's beginning and end, oldest first."""
    asked: list[tuple[datetime, DeviceId]] = field(default_factory=list)
    """Connections that were really closed by `drop`."""
    ended_sessions: list[DeviceId] = field(default_factory=list)
    on_dropped: Callable[[DeviceId], None] = lambda _device: None

    def connect(self, device: DeviceId) -> None:
        self._note(device, connected=True)

    def disconnect(self, device: DeviceId) -> None:
        if self.is_connected(device):
            self._note(device, connected=False)

    def is_connected(self, device: DeviceId) -> bool:
        """The truth now, whatever the index says."""
        facts = self.facts.get(device, [])
        return bool(facts) and facts[-1].connected

    def look(self, devices: Collection[DeviceId], *, only_connected: bool) -> dict[DeviceId, Sighting]:
        horizon = self.clock() - self.lag()
        known = {}
        for device in devices:
            seen = [fact for fact in self.facts.get(device, []) if fact.since <= horizon]
            if seen and (seen[-1].connected or not only_connected):
                known[device] = seen[-1]
        return known

    def drop(self, device: DeviceId) -> bool:
        if not self.is_connected(device):
            return False
        self.asked.append((self.clock(), device))
        self.disconnect(device)
        self.on_dropped(device)
        return True

    def end_session(self, device: DeviceId) -> None:
        self.ended_sessions.append(device)

    def _note(self, device: DeviceId, *, connected: bool) -> None:
        fact = Sighting(cluster=self.cluster, connected=connected, since=self.clock())
        self.facts.setdefault(device, []).append(fact)
