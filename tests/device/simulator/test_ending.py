"""A simulation that is ended from outside leaves no broker and no keys."""

import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from subprocess import PIPE, STDOUT

import pytest

from tests.device.process import ROOT

PATIENCE_SECONDS = 60.0
ASKED, KILLED, HUNG_UP = signal.SIGTERM, signal.SIGKILL, signal.SIGHUP

pytestmark = pytest.mark.judge


def brokers(folder: Path) -> int:
    """How many mosquittos work with files of that folder; what is about to become one is none yet."""
    found = 0
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = process.read_bytes()
        except OSError:  # it has ended
            continue
        found += command.split(b"\0")[0].endswith(b"mosquitto") and os.fsencode(folder) in command
    return found


def until_there_are(count: int, folder: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while brokers(folder) != count:
        assert time.monotonic() < deadline, f"{brokers(folder)} brokers, expected {count}"
        time.sleep(0.05)


def test_a_run_that_is_told_to_end_leaves_nothing_and_one_that_is_killed_leaves_no_broker(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "device", "simulate", "--scenario", "flap", "--fleet", "3", "--pace", "1"]
    running: dict[signal.Signals, subprocess.Popen[bytes]] = {}
    with ExitStack() as ends:
        for sign in (ASKED, HUNG_UP, KILLED):
            folder = tmp_path / sign.name
            folder.mkdir()
            environment = {**os.environ, "TMPDIR": str(folder)}
            process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=PIPE, stderr=STDOUT)
            ends.callback(process.kill)
            running[sign] = process
        for sign, process in running.items():
            until_there_are(2, tmp_path / sign.name)
            process.send_signal(sign)
        for sign, process in running.items():
            said, _ = process.communicate(timeout=PATIENCE_SECONDS)
            until_there_are(0, tmp_path / sign.name)
            assert b"Traceback" not in said
            left = [path for path in (tmp_path / sign.name).rglob("*") if path.is_file()]
            assert bool(left) is (sign is KILLED), "whose files nobody could remove"
            assert process.returncode == (-KILLED if sign is KILLED else 130)
