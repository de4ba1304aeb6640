"""The station's API under faults: killed in the middle of a request, and a disk that refuses while it serves."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest

from tests.faults.bench import Bench, Point, places, points_of, tracing
from tests.faults.cases import FAULTS, KILL
from tests.faults.judge import acknowledged_row, audited, broken_ledger, leaks, rows
from tests.faults.warm import Order, strike, tracer
from tests.power import CALLS
from tests.provisioning.factory import Factory
from tests.provisioning.requests import csr, p256
from tests.provisioning.serve.station_server import Answered, StationClient, serving

pytestmark = pytest.mark.judge

PATIENCE_SECONDS = 60.0


@contextmanager
def served(bench: Bench, factory: Factory) -> Iterator[tuple[StationClient, int]]:
    """A client of a fresh server, and the thread that will answer; the server ends of what strikes it, or here."""
    order = Order(arguments=serving(factory), out=factory.home / "out", err=factory.home / "err")
    pid = bench.station.start(order)
    try:
        until = time.monotonic() + PATIENCE_SECONDS
        while "token" not in (told := order.out.read_text() if order.out.exists() else ""):
            assert time.monotonic() < until, "the server did not come up"
            time.sleep(0.005)
        port, token = int(told.split()[0].rpartition(":")[2]), (factory.folder / "station.token").read_text()
        client = StationClient(port, token)
        assert client.ask("GET", "/health").status == 200, "which begins the thread, and opens no ledger"
        (thread,) = {int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()} - {pid}
        yield client, thread
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        ended = bench.station.finish(order)
    assert "Traceback" not in ended.err


@contextmanager
def straced(thread: int, *options: str) -> Iterator[None]:
    """The thread that answers under strace, until the end of the block."""
    strace = tracer(thread, *options)
    until = time.monotonic() + PATIENCE_SECONDS
    while "TracerPid:\t0\n" in Path(f"/proc/{thread}/status").read_text():
        assert time.monotonic() < until, "strace did not attach"
        time.sleep(0.002)
    try:
        yield
    finally:
        strace.send_signal(signal.SIGINT)
        try:
            strace.wait(PATIENCE_SECONDS)
        finally:
            strace.kill()


@dataclass
class Line:
    """What the line's software sent, and what it was told."""

    factory: Factory
    requests: dict[str, bytes] = field(default_factory=dict)
    acknowledged: dict[str, Any] = field(default_factory=dict)

    def next(self) -> str:
        """A device that nobody asked for yet."""
        device = f"served{len(self.requests)}"
        self.requests[device] = csr(p256())
        return device

    def ask(self, client: StationClient, device: str) -> Answered:
        """One call; what is acknowledged once stays so."""
        before = [row for row in rows(self.factory) if row.device == device]
        answered = client.issue(device, self.requests[device])
        if answered.status in (200, 201):
            assert self.acknowledged.setdefault(device, answered.json) == answered.json
            assert {row.serial.lower().lstrip("0") for row in before} <= {answered.json["serial"]}, "what was prepared"
        return answered

    def end(self, client: StationClient, device: str) -> None:
        """The repeated call, when nothing is in its way."""
        answered = self.ask(client, device)
        assert answered.status in (200, 201), answered.text

    def points(self, client: StationClient, thread: int) -> list[Point]:
        """The calls of one request."""
        trace = self.factory.home / "request.trace"
        with straced(thread, *tracing(trace)):
            self.end(client, self.next())
        return points_of(trace, self.factory)

    def broken(self) -> list[str]:
        """What must not be in the ledger, at the end of it all."""
        ledger = rows(self.factory)
        told = [rule for each in self.acknowledged.values() for rule in acknowledged_row(ledger, each["fingerprint"])]
        if [row.device for row in ledger][1:] != list(self.requests):
            told.append("one issuance a device, in the order they were asked for")
        return (
            told
            + list(broken_ledger(ledger, datetime.now(UTC)))
            + list(leaks(self.factory, []))
            + audited(self.factory)
        )


@pytest.fixture
def line(bench: Bench) -> Line:
    return Line(bench.factory())


def test_killed_at_any_call_of_a_request_nothing_acknowledged_is_lost_and_the_same_call_ends_it(
    bench: Bench, line: Line
) -> None:
    """By turns in the first request of a server, which opens the ledger, and in one after it."""
    with served(bench, line.factory) as (client, thread):
        opening, later = line.points(client, thread), line.points(client, thread)
    first = [points[0] for points in places(opening, ()).values()]
    assert len(first) >= 4
    assert len(later) >= 8
    waiting, met, struck = "", 0, 0
    while first or later or waiting:
        with served(bench, line.factory) as (client, thread):
            is_fresh = bool(first) and not waiting
            if not is_fresh:
                line.end(client, waiting or line.next())
                waiting = ""
            if not (left := first if is_fresh else later):
                continue
            point, waiting, struck = left.pop(), line.next(), struck + 1
            with straced(thread, *strike(point.call, point.number, KILL)):
                try:
                    line.ask(client, waiting)
                except (HTTPException, OSError):
                    met += 1
                    assert waiting not in line.acknowledged
    assert met > 0.8 * struck, "a growing ledger may write a page more or less"
    with served(bench, line.factory) as (client, _):
        for device, told in line.acknowledged.items():
            found = client.ask("GET", f"/v1/devices/{device}")
            assert (found.status, found.json) == (200, told)
    assert line.broken() == []


def test_a_disk_that_refuses_is_a_problem_in_words_and_the_same_call_goes_on_after_it(bench: Bench, line: Line) -> None:
    refused = 0
    with served(bench, line.factory) as (client, thread):
        line.end(client, line.next())
        cases = [(point, fault) for point in line.points(client, thread) for fault in FAULTS if fault != KILL]
        for point, fault in cases:
            device = line.next()
            with straced(thread, *strike(point.call, point.number, fault)):
                answered = line.ask(client, device)
            if answered.status != 201:
                refused += 1
                assert_is_the_stations_problem(answered, device)
            line.end(client, device)
    assert refused > len(cases) // 2
    assert line.broken() == []


def test_a_full_disk_acknowledges_nothing_and_the_server_goes_on_when_there_is_room_again(
    bench: Bench, line: Line
) -> None:
    with served(bench, line.factory) as (client, thread):
        line.end(client, line.next())
        devices = [line.next() for _ in range(3)]
        full = ("-o", "/dev/null", "-e", f"trace={CALLS}", "-e", "inject=pwrite64,ftruncate:error=ENOSPC")
        with straced(thread, *full):
            for device in devices * 2:
                assert_is_the_stations_problem(line.ask(client, device), device)
            assert client.ask("GET", "/ready").status == 503
        assert [row.device for row in rows(line.factory)] == ["device0", "served0"]
        for device in devices:
            assert line.ask(client, device).status == 201
        assert client.ask("GET", "/ready").json["is_ready"]
    assert line.broken() == []


def assert_is_the_stations_problem(answered: Answered, device: str) -> None:
    assert (answered.status, answered.kind) == (503, "application/problem+json"), answered.text
    assert (answered.json["device"], answered.json["who"]) == (device, "station")
    assert answered.json["detail"].strip(), "it says what is wrong"
