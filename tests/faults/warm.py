"""The warm station (`tests.faults.warm_station`) as tests use it: a command, under a fault or a trace."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.power import CALLS
from tests.provisioning.factory import ROOT, Finished


@dataclass(frozen=True, kw_only=True)
class Order:
    """One command, and what shall happen to it."""

    arguments: Sequence[str | Path]
    out: Path
    err: Path
    variables: Mapping[str, str] = field(default_factory=dict)
    variant: str = "sound"
    """One of `tests.faults.variants`."""
    strace: Sequence[str] = ()
    """Options that make strace trace it, or strike."""
    begin_at: float = 0.0
    """Seconds since 1970: for orders that shall race."""
    clock_ahead: timedelta = timedelta(0)
    """How far the station's clock is off."""
    largest_file_bytes: int | None = None
    """Room that a file has (RLIMIT_FSIZE): what is written beyond is cut off, and then refused."""

    def line(self) -> str:
        return json.dumps(
            {
                "arguments": [str(argument) for argument in self.arguments],
                "out": str(self.out),
                "err": str(self.err),
                "variables": dict(self.variables),
                "variant": self.variant,
                "is_traced": bool(self.strace),
                "begin_at": self.begin_at,
                "largest_file_bytes": self.largest_file_bytes,
                "clock_ahead_seconds": self.clock_ahead.total_seconds(),
            }
        )


class WarmStation:
    """One process that forks a child for each order."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def run(self, order: Order) -> Finished:
        """The order, carried out; below zero its code is the signal it died of."""
        self.start(order)
        return self.finish(order)

    def start(self, order: Order) -> int:
        """The process id of the child; strace has it, or will."""
        for path in (order.out, order.err):
            path.unlink(missing_ok=True)
        self._tell(order.line())
        pid = int(self._hear())
        self._tracer = tracer(pid, *order.strace) if order.strace else None
        return pid

    def finish(self, order: Order) -> Finished:
        """Wait for it."""
        code = int(self._hear())
        if self._tracer is not None:
            assert self._tracer.wait(60) is not None
        return Finished(code, order.out.read_text(), order.err.read_text())

    def _tell(self, line: str) -> None:
        stdin: Any = self._process.stdin
        stdin.write(f"{line}\n")
        stdin.flush()

    def _hear(self) -> str:
        stdout: Any = self._process.stdout
        line = str(stdout.readline())
        assert line, "the warm station died"
        return line


def tracer(pid: int, *options: str) -> "subprocess.Popen[bytes]":
    """strace on a process that runs; it ends with that process, or when it is interrupted."""
    return subprocess.Popen(["strace", "-qq", "-p", str(pid), *options], stderr=subprocess.DEVNULL)


@contextmanager
def warm_station() -> Iterator[WarmStation]:
    """A station that has imported everything; the machine's own AWS settings stay out."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "FLOTILLA_"))}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.faults.warm_station"],
        cwd=ROOT,
        env={**own, "AWS_EC2_METADATA_DISABLED": "true", "COLUMNS": "500"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield WarmStation(process)
        finally:
            stdin: Any = process.stdin
            stdin.close()


def strike(call: str, number: int | str, fault: str) -> tuple[str, ...]:
    """Options that kill a command at its nth call, or have that call fail with an error such as ENOSPC.

    The number `3+` is the third and all after it.
    """
    inject = "signal=KILL" if fault == "KILL" else f"error={fault}"
    return ("-o", "/dev/null", "-e", f"trace={CALLS}", "-e", f"inject={call}:{inject}:when={number}")


def soon() -> float:
    """A moment at which everybody who races has been forked."""
    return time.time() + 0.03
