"""Commands of `fleet` in processes that are cheap to start: forked from one that has imported everything already.

For tests that kill many of them; what they run is what `python -m fleet` runs.
"""

import contextlib
import multiprocessing
import os
import sys
from collections.abc import Mapping, Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path

_CONTEXT = multiprocessing.get_context("forkserver")


def start(arguments: Sequence[str], variables: Mapping[str, str], output: Path) -> ForkServerProcess:
    """The process, started; what it prints goes to `output`. Whoever calls this joins it."""
    _CONTEXT.set_forkserver_preload(["fleet.cli", "tests.fleet.forked_cli"])
    process = _CONTEXT.Process(target=_run, args=(list(arguments), dict(variables), str(output)), daemon=True)
    process.start()
    return process


def _run(arguments: Sequence[str], variables: Mapping[str, str], output: str) -> None:
    from fleet.cli import app  # noqa: PLC0415  # only in the child, where it is imported already

    os.environ.update(variables)
    sys.argv = ["fleet", *arguments]
    with Path(output).open("w") as file, contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
        app(prog_name="fleet")
