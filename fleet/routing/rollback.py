"""From a plan that was carried out, wholly or in part, to the plan that takes it back.

Each device goes back to what it had: target, kind, owner and expiry from its history, and the very record sets that
the plan removed. Only what the plan made and nobody changed since is taken back; the rest is told.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

from fleet.routing.plan import Change, Plan
from fleet.routing.returning import undone
from fleet.routing.route import Route
from fleet.routing.route_table import RouteTable
from protocol.device_id import DeviceId

MAX_NAMED = 20
"""Devices that are told by name; the others are counted."""
_CHUNK = 1_000
"""Changes looked at together, so that a plan of any size fits in memory."""


@dataclass(kw_only=True)
class Rollback:
    """What a plan's rollback comes to, counted while its changes are taken out."""

    plan: Plan
    table: RouteTable
    now: datetime
    undone: int = 0
    never_done: int = 0
    """Changes of an unfinished plan that it did not come to."""
    changed_since: int = 0
    """Devices that another plan has changed: they stay as they are."""
    named: dict[DeviceId, str] = field(default_factory=dict)
    """The first of those, with who changed them."""

    def changes(self) -> Iterator[Change]:
        """The changes, sorted by device."""
        rest = self.plan.changes()
        while some := list(islice(rest, _CHUNK)):
            standing = self.table.read(change.device for change in some)
            ours = [change for change in some if self._is_ours(change, standing.get(change.device))]
            former = self.table.revisions({change.device: change.revision - 1 for change in ours})
            for change in ours:
                self.undone += 1
                yield self._undo(change, former.get(change.device))

    def _is_ours(self, change: Change, standing: Route | None) -> bool:
        if standing is not None and (standing.revision, standing.plan) == (change.revision, self.plan.digest):
            return True
        if standing is None or standing.revision < change.revision:
            self.never_done += 1
            return False
        self.changed_since += 1
        if len(self.named) < MAX_NAMED:
            self.named[change.device] = f"{standing.changed_by}: {standing.reason}"
        return False

    def _undo(self, change: Change, former: Route | None) -> Change:
        reason = former.reason if former else f"plan {self.plan.digest[:12]} rolled back"
        back = undone(change, reason, former, self.plan.header.domain, self.now)
        return Change(**(vars(back) | {"owner": former.owner})) if former else back
