"""Background processes of the desk: detached, known again by more than a number, stopped with all they started.

A process works for one folder of the desk's home. It and everything it starts carry that folder in their environment
(`MARK`), so that what a crash left behind is found again, and a stranger that happens to have got the same process
number is never touched. Where there is no /proc, the process number and start time alone identify it.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

MARK = "FLOTILLA_DESK_FOLDER"
"""The environment variable that says for which folder a process works."""
INHERITED = ("PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH")
"""What a background process takes over from the terminal; not its AWS settings, credentials or HTTP proxies."""
PATIENCE_S = 8.0
"""How long a process may take to end by itself; MiniStack saves state and hypercorn drains for up to 3 s."""
KILL_PATIENCE_S = 5.0
"""How long the kernel may take to end a killed process."""
POLL_S = 0.02

_PROC = Path("/proc")
_STATE, _START_TIME = 0, 19
"""Fields of /proc/<pid>/stat after the command in parentheses (proc(5) numbers them 3 and 22)."""


class BackgroundProcess(BaseModel):
    """A process that was started, and what tells it from a later one of the same number."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pid: int
    birth: str
    """When the kernel says it started, in the kernel's own words; empty if it was gone before we could ask."""
    folder: Path

    @property
    def incarnation(self) -> str:
        """A name for this one life of the process."""
        return f"{self.pid}-{self.birth}"

    @property
    def is_alive(self) -> bool:
        """Whether this very process still runs; a zombie does not."""
        _reap(self.pid)
        return bool(self.birth) and _birth(self.pid) == self.birth


def start_process(arguments: Sequence[str], folder: Path, environment: Mapping[str, str]) -> BackgroundProcess:
    """Start this Python with `arguments`, in a session of its own, its output appended to `<folder>/log`."""
    folder.mkdir(parents=True, exist_ok=True)
    log = str(folder / "log")
    variables = {name: os.environ[name] for name in INHERITED if name in os.environ}
    pid = os.posix_spawn(
        sys.executable,
        [sys.executable, *arguments],
        {**variables, "PYTHONUNBUFFERED": "1", **environment, MARK: str(folder)},
        setsid=True,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
    )
    return BackgroundProcess(pid=pid, birth=_birth(pid), folder=folder)


def stop_processes(processes: Iterable[BackgroundProcess], *, patience_s: float = PATIENCE_S) -> None:
    """End the processes and all they started: SIGTERM to each group, then SIGKILL to what is left. Harmless again."""
    stopping = tuple(processes)
    for process in stopping:
        if process.is_alive:
            _signal_group(process.pid, signal.SIGTERM)
    _wait_until_ended(stopping, patience_s)
    for process in stopping:
        if process.is_alive:
            _signal_group(process.pid, signal.SIGKILL)
    for process in stopping:
        end_strays(process.folder)


def end_strays(folder: Path) -> None:
    """Kill whatever works for a folder, known or not; what a crash between start and record left behind."""
    deadline = time.monotonic() + KILL_PATIENCE_S
    while strays := _working_for(folder):
        for pid in strays:
            _signal(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            message = f"processes {strays} that work for {folder} do not end even when killed"
            raise TimeoutError(message)
        time.sleep(POLL_S)


def log_tail(folder: Path, lines: int = 15) -> str:
    """The last lines a folder's process wrote."""
    try:
        text = (folder / "log").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return "(no log)"
    return "\n".join(text.splitlines()[-lines:]) or "(the log is empty)"


def _wait_until_ended(processes: Sequence[BackgroundProcess], patience_s: float) -> None:
    deadline = time.monotonic() + patience_s
    while any(process.is_alive for process in processes) and time.monotonic() < deadline:
        time.sleep(POLL_S)


def _birth(pid: int) -> str:
    """When a process started; empty if it does not run."""
    if _PROC.joinpath("self", "stat").exists():
        try:
            fields = (
                (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            )
        except (FileNotFoundError, ProcessLookupError):
            return ""
        return "" if fields[_STATE] in "ZX" else fields[_START_TIME]
    answer = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return answer.stdout.strip()


def _working_for(folder: Path) -> list[int]:
    mark = f"{MARK}={folder}".encode()
    found = []
    for entry in _PROC.glob("[0-9]*"):
        try:
            environment = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue  # ended meanwhile, or another user's
        if mark in environment and _birth(int(entry.name)):
            found.append(int(entry.name))
    for pid in found:
        _reap(pid)
    return found


def _reap(pid: int) -> None:
    """Take the exit status of a child of ours, so that it does not stay as a zombie."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _signal_group(pid: int, number: signal.Signals) -> None:
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return
