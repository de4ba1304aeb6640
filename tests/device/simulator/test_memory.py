"""The memory that is measured is this process's own, and its peak is found though it has passed."""

import subprocess
import sys

from device.simulator.memory import forget_peak, peak_kib, resident_kib

MIB = 1024
BALLAST = 256 * MIB


def test_a_peak_is_found_after_it_has_passed_and_can_be_forgotten() -> None:
    before = resident_kib()
    ballast = bytearray(b"x") * (BALLAST * 1024)
    del ballast
    assert peak_kib() - before > BALLAST * 0.9
    forget_peak()
    assert peak_kib() - resident_kib() < 64 * MIB


def test_a_peak_is_not_that_of_the_process_that_started_this_one() -> None:
    ballast = bytearray(b"x") * (BALLAST * 1024)
    program = "from device.simulator.memory import peak_kib; print(peak_kib())"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(told.stdout) < 128 * MIB < len(ballast) // 1024
