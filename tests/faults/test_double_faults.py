"""Two faults one after the other, fifty times, drawn with fixed seeds: a number is enough to see one again.

The second strikes the rerun, where the first has left it; its point may be beyond what is left to do.
"""

import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from local.deployment import Deployment
from tests.faults.bench import Bench, Point, points_of, tracing
from tests.faults.cases import KILL
from tests.faults.cloudy import ALWAYS, Cloudy, clouded
from tests.faults.cuts import WORK, as_left, traced
from tests.faults.faulty_proxy import Spoil
from tests.faults.judge import broken_words, left_behind, rows
from tests.faults.warm import Order, strike
from tests.faults.works import BATCHES, FIRST_OF_ALL, ISSUANCES, Work, issuance
from tests.power import Disk, replay
from tests.provisioning.factory import Factory, Finished, provisioning

pytestmark = pytest.mark.judge

REFUSALS = ("ENOSPC", "EIO")
DAY = timedelta(days=1)
ON_AN_EMPTY_LEDGER = (FIRST_OF_ALL, issuance(has_request=True, is_first=True))
"""Where nothing was issued before, nothing else is out of its time by another clock."""

Trace = tuple[Factory, Disk, Path]


@pytest.fixture(scope="module")
def issued(bench: Bench) -> Trace:
    """One traced issuance, for power cuts at any of its calls."""
    return traced(bench, "sound")


def struck(bench: Bench, factory: Factory, work: Work, fault: str, random: Random) -> Finished:
    """The work under one fault somewhere."""
    point = random.choice(bench.points(work))
    return bench.run(factory, work.order(factory), strace=strike(point.call, point.number, fault))


def rest(work: Work, factory: Factory, ran: list[Finished]) -> list[str]:
    """What two faults broke, and what is left after a rerun without any."""
    broken = work.broken(factory, ran) + work.unconverged(factory)
    return broken + [f"a key was left in {name}" for name in left_behind(factory)]


def disk_and_disk(bench: Bench, issued: Trace, random: Random) -> list[str]:
    work = random.choice((*ISSUANCES, FIRST_OF_ALL, *BATCHES))
    factory = bench.factory(is_first=work.is_first)
    ran = [struck(bench, factory, work, random.choice(REFUSALS), random) for _ in range(2)]
    return rest(work, factory, ran)


def kill_and_disk(bench: Bench, issued: Trace, random: Random) -> list[str]:
    work = random.choice((*ISSUANCES, FIRST_OF_ALL, *BATCHES))
    factory = bench.factory(is_first=work.is_first)
    ran = [struck(bench, factory, work, fault, random) for fault in (KILL, random.choice(REFUSALS))]
    assert ran[0].code == -9
    return rest(work, factory, ran)


def cut_and_kill(bench: Bench, issued: Trace, random: Random) -> list[str]:
    """The power fails somewhere; when it is back, the rerun is killed."""
    factory, before, trace = issued
    disk, told = deepcopy(before), ""
    calls = sum(1 for _ in replay(trace, factory.home, deepcopy(before)))
    last = random.randrange(calls)
    for number, (_, answer) in enumerate(replay(trace, factory.home, disk)):
        told += answer
        if number == last:
            break
    files = disk.after_a_cut(random, random.choice((0.0, 0.5, 1.0)), are_names_kept=random.random() < 0.5)
    left = as_left(factory, files, factory.home.with_name("cut"))
    ran = Finished(0 if told else -9, told.replace(str(factory.home), str(left.home)), "")
    return rest(WORK, left, [ran, struck(bench, left, WORK, KILL, random)])


def is_of_clock(rule: str) -> bool:
    """Whether it is the audit alone that minds, and only what was written by a clock that was ahead."""
    return rule.startswith("the audit ends with 1") and set(re.findall(r'"kind": "([^"]+)"', rule)) == {"clock"}


def disk_and_clock(bench: Bench, issued: Trace, random: Random) -> list[str]:
    """The rerun happens a day early or late by the station's clock."""
    work, off = random.choice(ON_AN_EMPTY_LEDGER), random.choice((-DAY, DAY))
    factory = bench.factory(is_first=True)
    first = struck(bench, factory, work, random.choice((KILL, *REFUSALS)), random)
    other = bench.run(factory, work.order(factory), clock_ahead=off)
    now = datetime.now(UTC)
    broken = work.broken(factory, [first, other], now=now + off if other.code == 0 else now)
    certificates = [row.certificate for row in rows(factory) if row.certificate]
    if all(certificate.not_valid_before_utc <= now for certificate in certificates):
        return broken + [rule for rule in rest(work, factory, []) if not (off > timedelta(0) and is_of_clock(rule))]
    right = provisioning(*work.order(factory))
    if right.code != 1 or work.devices[0] not in right.err or "clock" not in right.err:
        broken.append(f"what is not valid yet was handed out, or not in words: {right}")
    again = bench.run(factory, work.order(factory), clock_ahead=off)
    if (again.code, again.out) != (0, other.out):
        broken.append(f"by the clock that it was made by, the answer is another: {again}")
    return broken


KINDS: tuple[Callable[[Bench, Trace, Random], list[str]], ...] = (
    disk_and_disk,
    kill_and_disk,
    cut_and_kill,
    disk_and_clock,
)


@pytest.mark.parametrize("seed", range(40))
def test_two_faults_in_a_row_lose_nothing_and_a_rerun_ends_it(seed: int, bench: Bench, issued: Trace) -> None:
    random = Random(seed)  # noqa: S311  # repeatable
    assert KINDS[seed % len(KINDS)](bench, issued, random) == []


@pytest.fixture
def cloudy(factory: Factory, dev_desk: Deployment, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloudy]:
    with clouded(factory, dev_desk, monkeypatch, Spoil.LOST) as cloudy:
        yield cloudy


_SYNC_POINTS: list[Point] = []
"""The calls of a sound `sync` of one identity, once they were counted."""


@pytest.mark.cloud
@pytest.mark.parametrize("seed", range(40, 50))
def test_a_sync_that_the_disk_stops_and_whose_rerun_the_cloud_answers_badly_ends_in_a_rerun(
    seed: int, bench: Bench, cloudy: Cloudy
) -> None:
    random = Random(seed)  # noqa: S311  # repeatable
    before = cloudy.held()

    def sync(strace: tuple[str, ...]) -> Finished:
        home = cloudy.factory.home
        order = Order(
            arguments=cloudy.connected.sync_order(),
            out=home / "out",
            err=home / "err",
            variables=cloudy.variables,
            strace=strace,
        )
        return bench.station.run(order)

    if not _SYNC_POINTS:
        cloudy.issued("counted")
        trace = cloudy.factory.home / "sync.trace"
        assert sync(tracing(trace)).code == 0
        _SYNC_POINTS.extend(points_of(trace, cloudy.factory))
    device = cloudy.issued()
    point, fault = random.choice(_SYNC_POINTS), random.choice((KILL, *REFUSALS))
    first = sync(strike(point.call, point.number, fault))
    spoil = random.choice([each for each in Spoil if each is not Spoil.SLOW])
    cloudy.proxy.arm("TransactWriteItems", cloudy.region, spoil, random.choice((1, ALWAYS)))
    second = cloudy.sync()
    assert list(broken_words(first, device, str(cloudy.factory.folder), "the ledger", "the answer")) == []
    assert list(cloudy.broken(second, before)) == []
    assert list(cloudy.unconverged(cloudy.sync)) == []
    assert {row.fingerprint for row in rows(cloudy.factory) if row.device == device} <= cloudy.manifest()
