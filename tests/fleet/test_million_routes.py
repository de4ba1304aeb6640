"""A million routes, at Route 53's own limits and in simulated time: no request more than the work asks for."""

from pathlib import Path

import pytest

from fleet.routing.batches import least_batches
from fleet.routing.plan_file import write_plan
from fleet.routing.route import State
from fleet.routing.target import DEFAULT
from fleet.routing.zone import MAX_BATCH_RECORDS
from tests.fleet.applying import EU1, FOREIGN, World
from tests.fleet.plans import change, header

ROUTES = 1_000_000


@pytest.mark.timeout(900)
def test_a_million_routes_take_the_least_number_of_requests(tmp_path: Path) -> None:
    world = World(changes=())
    world.zone.busy_share = 0.005
    changes = (change(f"d{number:07d}", DEFAULT, EU1) for number in range(ROUTES))
    plan = write_plan(tmp_path / "million.plan", header(), changes)

    began = world.time.now
    applied = world.applier(largest=MAX_BATCH_RECORDS).apply(plan)

    least = 2 * least_batches(plan.changes())
    assert least == 2_000, "a batch of a thousand, and one look whether it is in sync"
    assert applied.requests <= 1.02 * least
    assert world.zone.throttled <= 0.02 * least, "only what Route 53 put off by itself; the pace was kept"
    assert (world.time.now - began).total_seconds() < least / 5 + 120, "five a second, and a minute into sync"

    assert len(world.zone.records) == ROUTES + 1
    assert world.zone.records[FOREIGN.name] == {"CNAME": FOREIGN}
    for each in plan.changes():
        (created,) = each.creates
        assert world.zone.records[created.name] == {"CNAME": created}
        (route,) = world.table.history(each.device)
        assert (route.target, route.state, route.plan) == (EU1, State.POINTED, plan.digest)
