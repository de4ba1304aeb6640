"""The power fails after any call of an issuance, and takes with it what the disk was not told to keep.

A kill cannot show that a sync is missing. Here the trace of one issuance is replayed: what was acknowledged is on the
disk at that moment, and every cut leaves a factory that a rerun brings to its end. Broken factories are rejected.
"""

from random import Random

import pytest

from tests.faults.bench import Bench
from tests.faults.cuts import WORK, as_left, traced
from tests.power import parsed, replay
from tests.provisioning.factory import Finished

pytestmark = pytest.mark.judge

SHARES = (1.0, 0.0, 0.5)
"""Of the sectors not yet kept, those that made it."""
RERUN_EVERY = 9
"""Cuts whose factory is brought to its end; every cut's is looked at."""


def first_broken_rule(bench: Bench, variant: str, *, reruns: bool = False) -> tuple[list[str], int]:
    """Cut the power after every call; what the first bad cut breaks, and how many cuts there were."""
    factory, disk, trace = traced(bench, variant)
    random, cuts, told = Random(7), 0, ""  # noqa: S311  # repeatable
    for _, answer in replay(trace, factory.home, disk):
        told += answer
        for share in SHARES:
            for are_names_kept in (True, False):
                files = disk.after_a_cut(random, share, are_names_kept=are_names_kept)
                left = as_left(factory, files, factory.home.with_name("cut"))
                ran = Finished(0 if told else -9, told.replace(str(factory.home), str(left.home)), "")
                cuts += 1
                broken = WORK.broken(left, [ran])
                if reruns and not cuts % RERUN_EVERY:
                    broken += WORK.unconverged(left)
                if broken:
                    return broken, cuts
    assert told, "the answer was seen in the trace"
    return [], cuts


def waiting_at_the_answer(bench: Bench, variant: str) -> set[str]:
    """Files whose bytes or names wait in the kernel when the answer is told; SQLite's shared memory is no record."""
    factory, disk, trace = traced(bench, variant)
    for _, answer in replay(trace, factory.home, disk):
        if answer:
            waiting = {name for name in disk.waiting() if not name.endswith("-shm")}
            return {name for name in waiting if name not in {"out", "err"}}
    raise AssertionError("no answer in the trace")


def test_a_power_cut_after_any_call_loses_nothing_acknowledged_and_a_rerun_ends_it(bench: Bench) -> None:
    broken, cuts = first_broken_rule(bench, "sound", reruns=True)
    assert broken == []
    assert cuts > 350


def test_nothing_waits_in_the_kernel_when_an_identity_is_acknowledged(bench: Bench) -> None:
    assert waiting_at_the_answer(bench, "sound") == set()


@pytest.mark.parametrize(
    ("variant", "rule"),
    [
        ("hasty", "acknowledged, and the certificate is not in the ledger"),
        ("unsynchronized", "acknowledged, and the certificate is not in the ledger"),
        ("in place", "acknowledged, and the bundle is not whole"),
        ("unsettled", "acknowledged, and the bundle is not whole"),
        ("nameless", "acknowledged, and the bundle is not whole"),
    ],
)
def test_a_broken_factory_is_rejected_by_the_power_cut(variant: str, rule: str, bench: Bench) -> None:
    broken, _ = first_broken_rule(bench, variant)
    assert any(each.startswith(rule) for each in broken), broken


@pytest.mark.parametrize(
    ("variant", "file"),
    [
        ("unsynchronized", "factory/ledger.db-wal"),
        ("in place", "devices/device1/bundle.json"),
        ("unsettled", "devices/device1/bundle.json"),
        ("nameless", "devices/device1/bundle.json"),
    ],
)
def test_a_broken_factory_is_rejected_by_what_waits_at_its_answer(variant: str, file: str, bench: Bench) -> None:
    assert file in waiting_at_the_answer(bench, variant)


def logged_after_the_answer(bench: Bench, variant: str) -> int:
    """Writes to the ledger's log behind the answer's back; emptying the log into the ledger is no such write."""
    _, _, trace = traced(bench, variant)
    calls = list(parsed(trace))
    answered = next(number for number, call in enumerate(calls) if call.is_told and call.result > 0)
    return sum(call.name == "pwrite64" and call.paths[0].name == "ledger.db-wal" for call in calls[answered:])


def test_a_factory_that_answers_before_it_commits_is_rejected_by_the_order_of_answer_and_write(bench: Bench) -> None:
    """Nothing waits in the kernel at its answer, because nothing was written yet."""
    assert logged_after_the_answer(bench, "sound") == 0
    assert logged_after_the_answer(bench, "hasty") > 0
