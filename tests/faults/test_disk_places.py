"""The first issuance of a factory, and a batch, are killed or refused at every place: call, file, state of the ledger.

They are longer than an issuance, and call the same again and again; so their calls are gathered by what they do.
"""

import pytest

from tests.faults.bench import Bench, Place, Point, places
from tests.faults.cases import FAULTS, KILL, all_broken
from tests.faults.works import BATCHES, FIRST_OF_ALL, Work

pytestmark = pytest.mark.judge

WORKS = (FIRST_OF_ALL, *BATCHES)
Struck = dict[str, list[tuple[Point, str]]]
"""By the name of a work."""


@pytest.fixture(scope="module")
def struck(bench: Bench) -> Struck:
    """The first point of each place under every fault; its middle and its last under faults by turns.

    A place that several have is struck in the first of them.
    """
    seen: set[Place] = set()
    found: Struck = {work.name: [] for work in WORKS}
    for work in WORKS:
        for place, points in places(bench.points(work), work.devices).items():
            if place in seen:
                continue
            seen.add(place)
            others = [point for point in dict.fromkeys((points[len(points) // 2], points[-1])) if point != points[0]]
            turns = [FAULTS[(len(seen) + number) % len(FAULTS)] for number in range(len(others))]
            found[work.name] += [(points[0], fault) for fault in FAULTS] + list(zip(others, turns, strict=True))
    return found


def test_the_places_are_those_of_keys_ledger_results_and_report(struck: Struck) -> None:
    found = [(point.call, point.about) for each in struck.values() for point, _ in each]
    for call, file in (
        ("pwrite64", "factory/.ledger.db."),
        ("fdatasync", "factory/ledger.db-wal"),
        ("write", "batch/parts/.000000.keys.csv."),
        ("unlinkat", "batch/parts/000000.keys.csv"),
        ("link", "batch/devices/bat2/.device.key.pem."),
        ("rename", "batch/.report.json."),
        ("write", "the answer"),
    ):
        assert any(found_call == call and about.startswith(file) for found_call, about in found), (call, file)
    assert len(found) >= 500


@pytest.mark.parametrize("is_killed", [True, False], ids=["killed", "refused"])
@pytest.mark.parametrize("work", WORKS, ids=lambda work: work.name)
def test_struck_at_any_place_nothing_acknowledged_is_lost_and_a_rerun_ends_it(
    work: Work, is_killed: bool, bench: Bench, struck: Struck
) -> None:
    mine = [(point, fault) for point, fault in struck[work.name] if (fault == KILL) == is_killed]
    assert all_broken(bench, work, mine) == {}
