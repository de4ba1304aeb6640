"""The disk is full at each sync, link and rename in turn, of a list and of a station's certification.

After each: exit code 1 with the reason, nothing half made, and the same command goes on as if nothing had been.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509

from tests.provisioning.factory import Factory
from tests.provisioning.test_crl_command import Clock, clock, crl, number, read
from tests.provisioning.test_stations import Bench, bench

__all__ = ["bench", "clock"]

NO_SPACE = OSError(28, "No space left on device")


class Disk:
    """Fails once, at the call with that number."""

    def __init__(self, fails_at: int) -> None:
        self.calls, self.fails_at = 0, fails_at

    def counted(self) -> None:
        self.calls += 1
        if self.calls == self.fails_at:
            raise NO_SPACE


@contextmanager
def full(monkeypatch: pytest.MonkeyPatch, fails_at: int) -> Iterator[Disk]:
    """Every call that makes something durable, counted."""
    disk = Disk(fails_at)
    fsync, link, replace = os.fsync, os.link, Path.replace

    def sync(descriptor: int) -> None:
        disk.counted()
        fsync(descriptor)

    def linked(source: Path, target: Path) -> None:
        disk.counted()
        link(source, target)

    def replaced(self: Path, target: Path) -> Path:
        disk.counted()
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", sync)
        patch.setattr(os, "link", linked)
        patch.setattr(Path, "replace", replaced)
        yield disk


def test_a_list_survives_a_full_disk_at_every_step_and_its_number_never_goes_back(
    factory: Factory, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert factory.issue("device1").code == 0
    assert factory.revoke("device1").code == 0
    assert crl(factory, "--apply").code == 0
    seen, step, finished = 1, 0, False
    while not finished:
        step += 1
        with full(monkeypatch, step) as disk:
            told = crl(factory, "--apply")
        finished = disk.calls < step
        published = read(factory)
        assert published.get_revoked_certificate_by_serial_number(factory.chain("device1")[0].serial_number)
        if finished:
            assert told.code == 0, told.err
        else:
            assert told.code == 1
            assert "No space left on device" in told.err
        assert number(published) >= seen, "a reader never sees an older list"
        again = crl(factory, "--apply")
        assert again.code == 0, again.err
        assert again.json["number"] > max(seen, number(published))
        seen = again.json["number"]
    assert step > 8, "a record, two files and a mark, each synced and named"


def test_a_station_is_certified_once_through_a_full_disk_at_every_step(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert bench.request().code == 0
    path = bench.authorities / "bench-s-1.pem"
    serials, step, finished = set(), 0, False
    while not finished:
        step += 1
        with full(monkeypatch, step) as disk:
            told = bench.certify()
        finished = disk.calls < step
        assert told.code == (0 if finished else 1), told.err
        assert bench.certify().code == 0
        serials.add(x509.load_pem_x509_certificate(path.read_bytes()).serial_number)
        path.unlink()
    assert len(serials) == 1, "what was prepared first is what is signed, however often"
    assert step > 3
