"""The whole device as a process, and everything that happens to one: killed, its flash full, its buffer damaged.

What the buffer had taken is looked up in its file, not in what the device says of itself.
"""

import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from device.assembly import BUFFER_FOLDER
from device.buffer.capacity import MIN_BYTES, Capacity
from device.buffer.row import Priority
from device.buffer.store import Store
from device.buffer.store_file import STORE_FILE
from device.link import Message
from device.row_codec import decode_row
from protocol.measurement import Row
from tests.device.broker import folded, heard_by, mosquitto, network
from tests.device.process import DeviceProcess
from tests.device.working import settings_of, surroundings_for, working

pytestmark = pytest.mark.judge

KILLS = int(os.environ.get("FLOTILLA_KILLS", "4"))
"""A few, to meet kills while rows are stored, sent and forgotten; by hand many more."""
QUICK = ("--rows", "5", "--sample-every", "0.01")
PATIENCE_SECONDS = 60.0


def stored(folder: Path, scratch: Path) -> dict[tuple[int, int], bytes]:
    """What the buffer's file holds, read from a copy, as the next start would read it."""
    shutil.rmtree(scratch, ignore_errors=True)
    shutil.copytree(folder / BUFFER_FOLDER, scratch)
    store = Store(scratch, Capacity.of_bytes(MIN_BYTES))
    rows: dict[tuple[int, int], bytes] = {}
    for priority in Priority:
        while found := store.oldest(priority, 1000)[0]:
            rows |= {(found.epoch, row.sequence): row.payload for row in found.rows}
            store.forget(priority, found.epoch, found.rows[-1].sequence)
    store.close()
    return rows


@contextmanager
def started(*arguments: Any) -> Iterator[DeviceProcess]:
    """A device that is killed at the end, whatever happens."""
    device = DeviceProcess(*arguments)
    try:
        yield device
    finally:
        device.kill()


def until_connected(device: DeviceProcess) -> None:
    until(lambda: bool(device.events("connected")))


def until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def gaps(rows: dict[tuple[int, int], Row]) -> list[tuple[int, int]]:
    """Numbers that are missing between the first and the last of their epoch."""
    missing = []
    for epoch in {epoch for epoch, _ in rows}:
        numbers = {sequence for each, sequence in rows if each == epoch}
        missing += [(epoch, n) for n in range(min(numbers), max(numbers) + 1) if n not in numbers]
    return missing


@pytest.mark.timeout(300)
def test_a_device_that_is_killed_again_and_again_loses_nothing_its_buffer_had(tmp_path: Path) -> None:
    chance = Random(7)  # noqa: S311 - repeatable
    with mosquitto(tmp_path / "broker") as broker, network(broker, "device1") as (resolver, proxy):
        folder = broker.bundle("device1")
        with heard_by(broker, proxy, "device1") as heard:
            held: dict[tuple[int, int], bytes] = {}
            for number in range(KILLS):
                with started(folder, resolver, proxy, tmp_path / f"{number}.told", QUICK) as device:
                    until_connected(device)
                    time.sleep(chance.random() * 0.5)
                held |= stored(folder, tmp_path / "copy")
            with started(folder, resolver, proxy, tmp_path / "last.told", (*QUICK, "--batches", "2")) as last:
                assert last.running.wait(PATIENCE_SECONDS) == 0
            until(lambda: held.keys() <= folded(heard).keys())
    rows = folded(heard)
    assert len({epoch for epoch, _ in rows}) == KILLS + 1, "every start has numbers of its own"
    assert gaps(rows) == []
    for key, payload in held.items():
        _, moment, readings = decode_row(payload)
        assert (rows[key].time, rows[key].readings) == (moment, readings), "what was stored is what came"
    assert stored(folder, tmp_path / "copy") == {}
    assert order_is_kept(heard)


def order_is_kept(heard: list[Message]) -> bool:
    """Whether rows came first in the order in which they were measured; what comes again changes nothing."""
    keys = list(folded(heard))
    return keys == sorted(keys)


def test_a_broker_that_is_killed_and_comes_back_misses_nothing(tmp_path: Path) -> None:
    events: list[dict[str, Any]] = []
    with mosquitto(tmp_path / "broker") as broker, network(broker, "device2") as (resolver, proxy):
        folder = broker.bundle("device2")
        settings = settings_of(folder, proxy=proxy, rows=5, sample_every=timedelta(milliseconds=10))
        hasty = replace(surroundings_for(settings, resolver), random=lambda: 0.01)
        with working(folder, settings, hasty, events) as device:
            with heard_by(broker, proxy, "device2") as first:
                until(lambda: len(first) > 5)
                broker.kill()
            until(lambda: bool(device.told("failed")))
            broker.start()
            with heard_by(broker, proxy, "device2") as second:
                until(lambda: len(device.told("connected")) == 2)
                until(lambda: len(second) > 5)
                device.stop()
                told = {
                    (event["epoch"], number)
                    for event in device.told("acknowledged")
                    for number in range(event["first"], event["last"] + 1)
                }
                until(lambda: told <= folded(first).keys() | folded(second).keys())
        rows = folded([*first, *second])
    assert gaps(rows) == []
    assert stored(folder, tmp_path / "copy") == {}


def test_a_flash_that_is_full_is_told_of_and_everything_is_delivered_all_the_same(tmp_path: Path) -> None:
    """Only the buffer writes by pwrite64; from its 40th write on there is no space."""
    inject = ("strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=pwrite64")
    before = (*inject, "-e", "inject=pwrite64:error=ENOSPC:when=40+")
    with mosquitto(tmp_path / "broker") as broker, network(broker, "device3") as (resolver, proxy):
        folder = broker.bundle("device3")
        with heard_by(broker, proxy, "device3") as heard:
            options = (*QUICK, "--batches", "15")
            with started(folder, resolver, proxy, tmp_path / "told", options, before) as device:
                assert device.running.wait(PATIENCE_SECONDS) == 0
            until(lambda: len(folded(heard)) == 75)
    assert device.events("buffer_unavailable"), "it says so"
    assert gaps(folded(heard)) == []


def test_a_device_on_a_read_only_flash_starts_says_so_and_delivers(tmp_path: Path) -> None:
    """Whatever it opens to write is refused, and so is every folder it would make."""
    with mosquitto(tmp_path / "broker") as broker, network(broker, "device7") as (resolver, proxy):
        folder = broker.bundle("device7")
        written = [f"{name}.partial" for name in ("agent.json", "slots.json", "buffer/epoch")]
        written += [f"{BUFFER_FOLDER}/{STORE_FILE}{suffix}" for suffix in ("", "-wal", "-journal")]
        paths = [option for name in [*written, BUFFER_FOLDER] for option in ("-P", str(folder / name))]
        inject = ("-e", "trace=openat,mkdir", "-e", "inject=openat,mkdir:error=EROFS")
        before = ("strace", "-f", "-qq", "-o", "/dev/null", *paths, *inject)
        with heard_by(broker, proxy, "device7") as heard:
            options = (*QUICK, "--batches", "3")
            with started(folder, resolver, proxy, tmp_path / "told", options, before) as device:
                assert device.running.wait(PATIENCE_SECONDS) == 0
            until(lambda: len(folded(heard)) == 15)
    assert device.events("buffer_unavailable"), "it says so"
    assert {path.name for path in folder.iterdir()} == {
        "bundle.json",
        "device.chain.pem",
        "device.key.pem",
        "trust-anchors.pem",
    }


@pytest.mark.parametrize("damage", ["scribbled", "not a database"])
def test_a_damaged_buffer_is_put_aside_told_of_and_begun_anew(tmp_path: Path, damage: str) -> None:
    with mosquitto(tmp_path / "broker") as broker, network(broker, "device4") as (resolver, proxy):
        folder = broker.bundle("device4")
        with heard_by(broker, proxy, "device4") as heard:
            with started(folder, resolver, proxy, tmp_path / "first", QUICK) as first:
                until(lambda: len(first.events("acknowledged")) > 3)
            spoil(folder / BUFFER_FOLDER, damage)
            with started(folder, resolver, proxy, tmp_path / "second", (*QUICK, "--batches", "3")) as second:
                assert second.running.wait(PATIENCE_SECONDS) == 0
    assert [event["kept"] for event in second.events("buffer_quarantined")] == ["buffer.corrupt"]
    assert second.events("summary")[0]["batches"] == 3
    epochs = [event["epoch"] for event in [*first.events("acknowledged"), *second.events("acknowledged")]]
    assert epochs == sorted(epochs), "numbers of the lost file do not come again"
    assert len(set(epochs)) == 2
    folded(heard)


def spoil(folder: Path, damage: str) -> None:
    file = folder / STORE_FILE
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert connection.execute("PRAGMA page_count").fetchone()[0] > 3, "there is something to spoil"
    content = bytearray(file.read_bytes())
    if damage == "scribbled":
        content[4096 : 3 * 4096] = b"\xaa" * (2 * 4096)
    else:
        content[:] = b"no database at all, but long enough to be one" * 200
    file.write_bytes(content)


def test_a_revoked_device_is_refused_once_the_broker_read_its_list_and_the_others_are_not(tmp_path: Path) -> None:
    """mosquitto reads the list at SIGHUP; a session that stands is not cut off by it."""
    with (
        mosquitto(tmp_path / "broker", has_revocations=True) as broker,
        network(broker, "device5") as (resolver, proxy),
    ):
        folder = broker.bundle("device5")
        with heard_by(broker, proxy, "device5") as heard:
            with started(folder, resolver, proxy, tmp_path / "told", QUICK) as device:
                until(lambda: len(heard) > 2)
                broker.revoke("device5")
                before = len(heard)
                until(lambda: len(heard) > before + 2)
            with started(folder, resolver, proxy, tmp_path / "again", (*QUICK, "--attempts", "1")) as again:
                assert again.running.wait(PATIENCE_SECONDS) == 3, "it gives up after the one try it was given"
            assert device.events("connected")
            assert not again.events("connected")
            assert "gave up after 1 attempts" in (tmp_path / "again").read_text()
            other = broker.connect("listener2", proxy, [])
            assert other.is_open, "whoever is not on the list is let in"
            other.close()
    assert stored(folder, tmp_path / "copy"), "and keeps what it measured meanwhile"


def test_two_processes_never_work_as_one_device(tmp_path: Path) -> None:
    """Two would share a name at the broker, which ends one's session for the other's for ever."""
    with mosquitto(tmp_path / "broker") as broker, network(broker, "device6") as (resolver, proxy):
        folder = broker.bundle("device6")
        with started(folder, resolver, proxy, tmp_path / "first", QUICK) as first:
            until_connected(first)
            with started(folder, resolver, proxy, tmp_path / "second", QUICK) as second:
                assert second.running.wait(PATIENCE_SECONDS) == 2
            assert first.running.poll() is None
    assert "a device is at work in it already" in (tmp_path / "second").read_text().replace("\n", " ")
