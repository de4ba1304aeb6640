"""How much memory this process has, as Linux counts it."""

from pathlib import Path


def resident_kib() -> int:
    """Of this process, now (proc(5), `VmRSS`)."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise OSError("proc(5) says nothing of VmRSS")
