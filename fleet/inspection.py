"""A whole fleet inspected: table, pins and zone side by side, and a share of it asked of a resolver."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from fleet.routing.answer import Answer, compare, questions, zone_answer
from fleet.routing.finding import Finding
from fleet.routing.holding import WILDCARD_LABEL, Holding, device_zone, gather, holdings
from fleet.routing.inspect import Inspection
from fleet.routing.places import Places
from fleet.routing.plan import Change
from fleet.routing.repair import repair
from fleet.routing.resolver import Resolver
from fleet.routing.route_table import RouteTable
from fleet.routing.sample import Sample
from fleet.routing.zone import Page
from fleet.routing.zone_pages import pages_under
from protocol.device_id import DeviceId
from protocol.hostnames import device_hostname

ASKED = 2_000
"""Devices with a record of their own that a resolver is asked about unless told otherwise: seconds of questions, and a
sample of a larger fleet in which a fault of 0.5 % of it is missed once in 20,000 checks."""
MADE_UP_ASKED = 20
"""Names without a record that it is asked about as well: all are answered by one wildcard."""
SEED = 4592
"""Of the sample: a check that is repeated asks the same devices."""


@dataclass(kw_only=True)
class Inspected:
    """What an inspection came to."""

    findings: list[Finding] = field(default_factory=list)
    names: int = 0
    """Looked at: devices with a route, a record or a pin, and the wildcard."""
    asked: int = 0
    """Questions to the resolver."""
    left_out: int = 0
    """Devices with a record of their own that it was not asked about."""


@dataclass(frozen=True, kw_only=True)
class FleetInspection:
    """One deployment, ready to be inspected."""

    places: Places
    table: RouteTable
    page: Callable[[str, str | None], Page]
    """`ZoneWriter.page`."""
    resolver: Resolver | None
    sample_size: int
    owner: str
    """Who answers for repaired devices that had no route."""
    clock: Callable[[], datetime]

    def run(self, inspected: Inspected, on_progress: Callable[[int], None]) -> Iterator[Change]:
        """Inspect; yields the changes that would mend the zone, sorted by device, and fills `inspected` meanwhile.

        `UnfinishedError` when table, zone or resolver cannot be asked. `on_progress` is told names as they are done.
        """
        inspection = Inspection(places=self.places, now=self.clock(), read_plan=self.table.read_plan)
        sample = Sample(self.sample_size, Random(SEED))  # noqa: S311  # a fair share, no secret
        wildcard = gather(WILDCARD_LABEL, self.places.domain)
        with TemporaryDirectory(prefix="flotilla-check-") as folder:
            for holding in self._holdings(Path(folder)):
                if holding.label == WILDCARD_LABEL:
                    wildcard = holding
                findings = list(inspection.findings(holding))
                inspected.findings += findings
                inspected.names += 1
                if holding.device is not None and holding.records:
                    sample.offer(holding)
                change = repair(holding, findings, inspection, owner=self.owner)
                if change is not None:
                    yield change
                on_progress(1)
        inspected.findings += inspection.unfinished_plans()
        if self.resolver is not None:
            self._ask(self.resolver, sample, wildcard, inspected)

    def _holdings(self, folder: Path) -> Iterator[Holding]:
        pages = pages_under(device_zone(self.places.domain), self.page)
        return holdings(self.table.scan(), pages, self.places.domain, folder, always=self.places.pins)

    def _ask(self, resolver: Resolver, sample: Sample, wildcard: Holding, inspected: Inspected) -> None:
        made_up = [gather(label, self.places.domain) for label in sample.made_up(min(MADE_UP_ASKED, sample.size))]
        wanted: list[tuple[DeviceId, str, Answer]] = []
        for holding in (*sample.kept, *made_up):
            for kind in questions(holding):
                answer = zone_answer(holding, wildcard, kind)
                if holding.device is not None and answer is not None:
                    wanted.append((holding.device, kind, answer))
        domain = self.places.domain
        answers = resolver.ask_all((device_hostname(device, domain), kind) for device, kind, _ in wanted)
        for (device, kind, expected), answer in zip(wanted, answers, strict=True):
            finding = compare(device, domain, kind, zone=expected, resolver=answer)
            inspected.findings += [] if finding is None else [finding]
        inspected.asked = len(wanted)
        inspected.left_out = sample.offered - len(sample.kept)
