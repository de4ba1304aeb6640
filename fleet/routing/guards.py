"""What a plan may not do to one device: leave its residency unapproved, fail at TLS, or knock where nobody knows it.

Only where a device is newly sent is judged: staying, and returning to where it belongs, are no decisions of the plan.
"""

from collections.abc import Sequence
from functools import lru_cache

from fleet.routing.places import Places
from fleet.routing.spool import Standing
from fleet.routing.target import Target
from protocol.hostnames import cluster_hostname

SERVED_KINDS = frozenset({"managed"})
"""Kinds of clusters that are known to serve the name `<cluster>.clusters.<domain>` (design decisions 3 and 4)."""
_REMEMBERED = 8_192


class Guards:
    """The guards of one plan. A reason is a text for people; an empty one means that nothing is held against it."""

    def __init__(self, places: Places, clusters: Sequence[str], *, is_approved: bool) -> None:
        """`clusters`: the order of the bits in `Standing.listed_in`. `is_approved`: data may leave its residency."""
        self.uses_of_approval = 0
        """Devices that were let out of their residency."""
        self._places = places
        self._clusters = clusters
        self._is_approved = is_approved
        self._residency = lru_cache(_REMEMBERED)(self._leaves)
        self._judged = lru_cache(_REMEMBERED)(self._judge)
        self._others = lru_cache(_REMEMBERED)(self._fails)

    def objection(self, standing: Standing, target: Target, returns_to: Target, *, is_debug: bool) -> str:
        """Why the device may not be sent to `target`, and later to `returns_to`."""
        known = (standing.target, standing.returns_to if standing.expires else standing.target)
        reason, leaves = self._judged(standing.residency, known, standing.listed_in, target, returns_to, is_debug)
        self.uses_of_approval += leaves and not reason
        return reason

    def accepts(self, standing: Standing, cluster: str, *, in_residency: bool) -> bool:
        """Whether a cluster may take the device, within its residency or wherever."""
        target = Target(cluster=cluster)
        if self._others(target, standing.listed_in, False):  # noqa: FBT003
            return False
        belongs = standing.returns_to if standing.expires else standing.target
        return not (in_residency and self._residency(standing.residency, standing.target, belongs, target))

    def _judge(  # noqa: PLR0917  # the key of a cache
        self,
        residency: str,
        known: tuple[Target, Target],
        listed_in: int,
        target: Target,
        returns_to: Target,
        is_debug: bool,  # a cached method's key
    ) -> tuple[str, bool]:
        """What is held against it, and whether an approval is used. `known`: where the device is, and belongs."""
        leaves = False
        for goal in {target, returns_to}.difference(known):
            reason = self._others(goal, listed_in, is_debug and goal == target)
            if reason:
                return reason, False
            reason = self._residency(residency, *known, goal)
            if reason and not self._is_approved:
                return f"{reason}; keep it there, or name who answers for it: --approved-by NAME", False
            leaves = leaves or bool(reason)
        return "", leaves

    def _leaves(self, residency: str, now: Target, then: Target, goal: Target) -> str:
        """How sending it there takes its data out of its residency."""
        clusters = self._places.clusters
        goals = {clusters[name].residency for name in self._places.leads_to(goal)}
        if goal.is_default and self._places.default_follows_the_place:
            return ""
        if residency:
            out = sorted(goals - {residency})
            return f"residency: its data stays in {residency}, and {goal} is in {', '.join(out)}" if out else ""
        homes = self._places.leads_to(now) or self._places.leads_to(then)
        bound = {clusters[name].residency for name in homes}
        if goals <= bound and len(bound) == 1:
            return ""
        if goals and len(bound) == 1:
            return f"residency: it is in {next(iter(bound))} now, {goal} is in {', '.join(sorted(goals))}"
        if goals and {place.residency for place in clusters.values()} != goals:
            return f"residency: nobody knows where its data must stay, and {goal} is in {', '.join(sorted(goals))}"
        return ""

    def _fails(self, goal: Target, listed_in: int, is_debug: bool) -> str:
        """How TLS, or the cluster's admission, would fail there."""
        if goal.address and not is_debug:
            return (
                f"TLS: at {goal} the device would ask for its own name; only a debug redirect has a certificate of it"
            )
        for name in self._places.leads_to(goal):
            place = self._places.clusters[name]
            if place.kind not in SERVED_KINDS:
                return f"TLS: {name} is of kind {place.kind}, which is not known to serve its cluster's name"
            asked_for = cluster_hostname(name, self._places.domain)
            if place.server_name != asked_for:
                return f"TLS: {name} serves {place.server_name}, and devices ask for {asked_for}"
            if not listed_in >> self._clusters.index(name) & 1:
                return f"admission: the manifest of {name} does not list it as good; run `provisioning sync` first"
        return ""
