"""How much memory a process has, as Linux counts it (proc(5))."""

from pathlib import Path


def resident_kib() -> int:
    """Now."""
    return _kib("VmRSS")


def peak_kib(process: int | None = None) -> int:
    """The most since the program began, or since `forget_peak`; of this process, or of another that runs.

    Not `ru_maxrss`: that begins with what the process had before it executed this program, its parent's memory.
    """
    return _kib("VmHWM", process)


def forget_peak() -> None:
    """From here on `peak_kib` says the most since now."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _kib(name: str, process: int | None = None) -> int:
    for line in Path(f"/proc/{process or 'self'}/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise OSError(f"proc(5) says nothing of {name}")
