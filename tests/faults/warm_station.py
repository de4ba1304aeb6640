"""Runs commands of the factory in processes that cost little to start: `python -m tests.faults.warm_station`.

It has imported everything and issued before, and forks one child for each order: a line of JSON on its standard input
(`warm.Order`). It answers with the child's process id, and with its exit code when it has ended; below zero is the
signal it died of.
"""

import ctypes
import gc
import json
import os
import resource
import sys
import time
import traceback
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import uvicorn
from typer.main import get_command

import provisioning.commands.options
import provisioning.serve.run
from provisioning.cli import app
from provisioning.serve.application import station_api
from provisioning.station import Station
from tests.faults.variants import VARIANTS
from tests.once import work_out_once
from tests.provisioning.factory import Factory

PR_SET_PTRACER = 0x59616D61
"""prctl(2): lets a process that is no ancestor trace this one, where Yama asks for that."""
ANY_PROCESS = -1
CRASHED = 70
"""The exit code of a child whose exception nobody caught."""
_COMMAND = get_command(app)
_NOW = "now"
_STATUS_BYTES = 4096


def main() -> None:
    work_out_once()
    with TemporaryDirectory() as folder:
        _warm(Factory(Path(folder)))
    for line in sys.stdin:
        order = json.loads(line)
        ready, begun = os.pipe()
        pid = os.fork()
        if not pid:
            os.close(ready)
            _child(order, begun)
        os.close(begun)
        os.read(ready, 1)
        os.close(ready)
        print(pid, flush=True)  # noqa: T201  # the answer
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201  # the answer


def _warm(factory: Factory) -> None:
    """What the first command of a process works out, so that no child has to."""
    for ran in (factory.ceremony(), factory.issue("device0"), factory.issue("device1")):
        if ran.code:
            raise SystemExit(ran.err)
    station = Station.open(stack="dev", factory=factory.folder, authorities=factory.authorities)
    uvicorn.Config(station_api(station, "token")).load()
    gc.collect()
    gc.freeze()


def _child(order: dict[str, Any], begun: int) -> None:
    """Nothing that a tracer counts is called between the word that it has begun and the command."""
    code = CRASHED
    try:
        os.dup2(os.open(order["out"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), 1)
        os.dup2(os.open(order["err"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), 2)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.environ.update(order["variables"])
        afterwards = VARIANTS[order["variant"]]()
        if order["largest_file_bytes"] is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (order["largest_file_bytes"],) * 2)
        if order["clock_ahead_seconds"]:
            _set_clock(timedelta(seconds=order["clock_ahead_seconds"]))
        ctypes.CDLL(None).prctl(PR_SET_PTRACER, ctypes.c_ulong(ANY_PROCESS), 0, 0, 0)
        status = os.open("/proc/self/status", os.O_RDONLY)
        os.write(begun, b"!")
        os.close(begun)
        while order["is_traced"] and b"TracerPid:\t0\n" in os.pread(status, _STATUS_BYTES, 0):
            time.sleep(0.001)
        os.close(status)
        while time.time() < order["begin_at"]:
            pass
        try:
            _COMMAND.main(order["arguments"], prog_name="python -m provisioning")
        except SystemExit as ended:
            sys.stdout.flush()
            afterwards()
            code = int(ended.code or 0)
    except BaseException:  # noqa: BLE001  # as the interpreter would at the top
        traceback.print_exc()
    finally:
        os._exit(code)


def _set_clock(ahead: timedelta) -> None:
    """Wherever a command asks for the time; nothing of the factory asks elsewhere (`test_clocks`: by libfaketime)."""
    now: Callable[[], datetime] = provisioning.commands.options.now
    for module in list(sys.modules.values()):
        if getattr(module, "now", None) is now:
            setattr(module, _NOW, lambda: now() + ahead)


if __name__ == "__main__":
    main()
