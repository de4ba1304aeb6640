import asyncio
import io
import json
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from rich.console import Console

from benchmarks import issuing_ledger
from benchmarks.__main__ import report
from benchmarks.agents import aws_connections, memory_and_storm_of, storm_in_c
from benchmarks.batches import naive, reference_batch
from benchmarks.broker_ground import ground_of
from benchmarks.issuing import Limit, Work, authority_of, checked, parse_speed, request_of
from benchmarks.measure import Result, compared, rate
from benchmarks.ordering import Place, a_second, written
from benchmarks.outages import POLICIES, looped, modelled
from benchmarks.peers import counted_rate
from benchmarks.planning import FEW, measure
from benchmarks.revoking import measure as measure_list
from device.simulator.mosquitto import free_ports
from fleet.outage.simulation import Outage
from fleet.routing.plan_file import read_plan
from protocol.telemetry import decode_batch, encode_batch


def test_a_rate_is_the_median_of_the_rounds() -> None:
    times = iter([0.0, 1.0, 10.0, 12.0, 20.0, 24.0])
    assert rate(lambda: 8, lambda: next(times), rounds=3) == 4.0, "8/1, 8/2 and 8/4 a second"


def test_work_that_fails_is_not_measured() -> None:
    def broken() -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        rate(broken, lambda: 0.0)


def test_a_ratio_compares_with_what_was_measured_beside_it() -> None:
    assert compared("a", 3.0, "b/s", limit=4.0, against="c").ratio == 0.75
    with pytest.raises(ValueError, match="is no measurement"):
        compared("a", 3.0, "b/s", limit=0.0, against="c")


def test_the_limit_is_one_verification_and_one_signature() -> None:
    told = "                              sign    verify    sign/s verify/s\n"
    told += " 256 bits ecdsa (nistp256)   0.0000s   0.0001s  30000.0  10000.0\n"
    signs, verifies = parse_speed(told)
    limit = Limit(signs=signs, verifies=verifies, generates=60000.0)
    assert limit.of_requests == pytest.approx(7500)
    assert limit.of_generated == pytest.approx(20000)
    with pytest.raises(ValueError, match="told nothing"):
        parse_speed("")


def test_a_program_that_made_too_few_certificates_is_not_measured() -> None:
    work = Work.made(datetime(2026, 11, 25, tzinfo=UTC))
    made = work.certificates([checked(*each) for each in work.requests[:3]])
    assert counted_rate(3, made, 2.0) == 1.5
    for wrong in (made[:2], [*made[:2], made[0]]):
        with pytest.raises(ValueError, match="2 certificates were made of 3 requests"):
            counted_rate(3, wrong, 2.0)


def test_both_formats_carry_the_same_measurements() -> None:
    batch = reference_batch(10)
    assert decode_batch(encode_batch(batch)) == batch
    assert len(naive(batch)) == batch.measurements == 50


def test_the_report_has_the_agreed_shape_and_is_not_written_when_a_benchmark_fails(tmp_path: Path) -> None:
    path = tmp_path / "build" / "bench.json"
    result = Result(name="n", value=1.5, unit="u/s", ratio=0.5, against="limit")
    report([result], path, Console(file=io.StringIO()))
    assert json.loads(path.read_text()) == [
        {"name": "n", "value": 1.5, "unit": "u/s", "ratio": 0.5, "against": "limit"}
    ]
    path.unlink()

    def failing() -> Iterator[Result]:
        yield result
        raise RuntimeError

    with pytest.raises(RuntimeError):
        report(failing(), path, Console(file=io.StringIO()))
    assert not path.exists()


@pytest.mark.parametrize("what", ["few", "all"])
def test_the_planning_benchmark_plans_what_it_says(tmp_path: Path, what: str) -> None:
    told = measure(1_000, what, tmp_path)
    assert read_plan(tmp_path / "plan").count == (1_000 if what == "all" else FEW)
    assert all(told[name] > 0 for name in ("seconds", "csv", "peak"))


@pytest.mark.parametrize("policy", POLICIES)
def test_the_model_and_the_event_loop_bring_back_the_same_fleet(policy: str) -> None:
    outage = Outage(devices=2000, connects_per_second=20, seconds=300)
    assert modelled(outage, policy) == looped(outage, policy) == 2000


@pytest.mark.parametrize("what", ["ours", "builder"])
def test_a_measured_list_is_whole_and_signed(what: str) -> None:
    told = measure_list(what, 300)
    assert told["list"] > 300 * 40 / 1024 / 1024
    assert told["seconds"] > 0


def test_a_batch_that_is_measured_is_delivered_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(issuing_ledger, "PART_ROWS", 2)
    monkeypatch.setattr(issuing_ledger, "PARTS", 1)
    authority = authority_of(ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC))
    line = issuing_ledger.Line(authority=authority, requests=[request_of(f"device{number}") for number in range(4)])
    run = issuing_ledger.batch(line, tmp_path, line.from_requests)
    assert run.wall > 0
    assert run.processor > 0
    short = replace(line, requests=line.requests[:3])
    with pytest.raises(RuntimeError, match="3 identities are in the ledger, and others were asked for"):
        issuing_ledger.batch(short, tmp_path / "short", short.from_requests)


def test_a_batch_of_the_command_is_measured_and_one_that_fails_is_not(tmp_path: Path) -> None:
    place = Place.opened(tmp_path)
    file = written(place, ["device"], iter([["device1"], ["device2"]]))
    run = place.batch(file, model="fl50")
    assert run.seconds > 0
    assert 20 < run.peak_mib < 300, "an interpreter with the libraries takes more than the least"
    with pytest.raises(RuntimeError, match=r"batch: .*no_such_model"):
        place.batch(file, model="no_such_model")
    assert a_second([0, 500_000, 1_000_000]) == 2.0


@pytest.mark.judge
def test_a_storm_brings_a_whole_fleet_back_and_no_device_takes_more_than_its_memory() -> None:
    """In a process of its own: no other test has left room there in which devices could hide."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:
        kib, storm = fresh.submit(memory_and_storm_of, 60, time.perf_counter).result()
    assert 40 < kib < 80, "the same to a tenth from run to run; a connection's TLS alone is more than the least"
    assert storm.connects == 60
    assert 0 < storm.per_second < storm.ceiling, "the broker's one thread did it, and was counted"
    assert 0 < storm.client_seconds < 2 * storm.seconds, "one process, and its helpers"


@pytest.mark.judge
def test_handshakes_in_c_are_counted_beside_what_they_cost_both_sides() -> None:
    with ground_of(1) as ground:
        storm = storm_in_c(ground, time.perf_counter, seconds=1)
        assert storm.connects > 0
        assert 0 < storm.per_second < storm.ceiling
        assert storm.client_milliseconds > 0
        [ground.broker.port] = free_ports(1)
        with pytest.raises(RuntimeError, match="openssl s_time"):
            storm_in_c(ground, time.perf_counter, seconds=1)


@pytest.mark.judge
def test_connections_of_the_other_client_are_weighed() -> None:
    with ground_of(5, "localhost") as ground:
        assert asyncio.run(aws_connections(ground)) > 0
