"""What a deployment did, told by component."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from local.apply import Action, Outcome
from local.desk import DeskRecord
from local.registration import Registration, Resource
from stacks.outputs import Outputs

_NO_COMPONENT = "(no component)"
_DESK = "(the desk itself)"
_DESK_GAPS = ("TLS to AWS endpoints: loopback counts as TLS, so a policy that refuses plaintext has nothing to refuse",)
"""`local.cell_process.count_loopback_as_tls`."""


@dataclass(frozen=True)
class ComponentSummary:
    """A component directly under the stack: what happened to its resources, at any depth."""

    component: str
    counts: Mapping[Action, int]
    gaps: tuple[str, ...]
    """What of it the embedded cloud does not have; each told once."""


@dataclass(frozen=True)
class Deployment:
    """A desk on which the stack runs."""

    stack: str
    home: Path
    record: DeskRecord
    outputs: Outputs
    outcomes: tuple[Outcome, ...]
    components: tuple[ComponentSummary, ...]
    started_anew: str
    """Why the embedded cloud was discarded first; empty if it was not."""

    @property
    def counts(self) -> Mapping[Action, int]:
        """Resources by what happened to them."""
        return Counter(outcome.action for outcome in self.outcomes)


def summarize(outcomes: Iterable[Outcome], resources: Iterable[Resource]) -> tuple[ComponentSummary, ...]:
    """The outcomes by component, sorted by name; first what the desk as a whole lacks."""
    registrations = {resource.registration.urn: resource.registration for resource in resources}
    grouped: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        grouped.setdefault(_component(outcome, registrations), []).append(outcome)
    summaries = (
        ComponentSummary(
            component=component,
            counts=Counter(outcome.action for outcome in members),
            gaps=tuple(dict.fromkeys(gap for outcome in members for gap in outcome.gaps)),
        )
        for component, members in sorted(grouped.items())
    )
    return ComponentSummary(_DESK, {}, _DESK_GAPS), *summaries


def _component(outcome: Outcome, registrations: Mapping[str, Registration]) -> str:
    """The name of the outermost parent; of what is gone only its type is known, from the URN."""
    registration = registrations.get(outcome.urn)
    if registration is None:
        outermost = outcome.urn.split("::")[2].partition("$")[0]
        return _NO_COMPONENT if outermost == outcome.type else f"(gone) {outermost.rpartition(':')[2]}"
    if registration.parent is None:
        return _NO_COMPONENT
    while registration.parent is not None:
        registration = registrations[registration.parent]
    return registration.name
