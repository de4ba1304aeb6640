"""How often an issuance waits for the disk, and in which order, read from a trace of its system calls."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.provisioning.factory import ROOT

pytestmark = pytest.mark.judge

DEVICES = 12
SYNC = re.compile(r"\b(fdatasync|fsync|sync_file_range|msync)\(")
MOMENT = re.compile(r'write\(2, "at (\w+)\\n"')


def moments(folder: Path) -> list[str]:
    """`sync` for each sync, and each moment that the station says."""
    trace = folder / "trace"
    command: list[str | Path] = ["strace", "-f", "-o", trace, "-e", "trace=fdatasync,fsync,sync_file_range,msync,write"]
    station: list[str | Path] = [
        sys.executable,
        "-m",
        "tests.provisioning.steady_station",
        folder / "ledger",
        str(DEVICES),
    ]
    subprocess.run([*command, *station], cwd=ROOT, check=True, capture_output=True)
    found = []
    for line in trace.read_text().splitlines():
        if SYNC.search(line):
            found.append("sync")
        elif said := MOMENT.search(line):
            found.append(said[1])
    return found


def test_an_issuance_waits_for_the_disk_once_before_and_once_after_its_signature(tmp_path: Path) -> None:
    told = moments(tmp_path)
    text = " ".join(told[told.index("request") :])
    issuances = [each.split() for each in text.split("request")[1:]]
    assert len(issuances) == DEVICES
    for each in issuances:
        signature, answer = each.index("signature"), each.index("answer")
        assert each[:signature] == ["sync"], "the intent is on the disk before anything is signed, with one sync"
        assert each[signature + 1 : answer] == ["sync"], "the certificate is on the disk before it is answered"
    waits = [each[each.index("answer") + 1 : each.index("delivered")].count("sync") for each in issuances]
    assert set(waits) > {1}, "the log was emptied in between, when nobody waited"
