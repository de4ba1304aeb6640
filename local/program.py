"""Runs the Pulumi program without the Pulumi CLI: a backend answers each registration (design decision 2).

Pulumi's SDK sends registrations to a monitor. `local.monitor` is one inside this process; it hands every resource to
a `Backend` once its inputs are resolved, in dependency order, several at once from a pool of threads.
"""

import asyncio
import contextvars
import logging
import runpy
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pulumi.runtime import configure, run_in_stack, set_all_config
from pulumi.runtime.mocks import MockEngine
from pulumi.runtime.settings import Settings

from local.monitor import Monitor
from local.places import Places
from local.registration import Backend, ProgramError, Registration, Resource

__all__ = ["Backend", "ProgramError", "ProgramRun", "Registration", "Resource", "run_program"]

PROJECT_ROOT = Path(__file__).resolve().parent.parent
PARALLEL = 8
"""Resources in flight at once. An embedded cloud is one process; more threads only wait for it."""
LOGGER = logging.getLogger("local.program")


@dataclass(frozen=True)
class ProgramRun:
    """A program that ran to its end."""

    resources: tuple[Resource, ...]
    """Sorted by URN."""
    exports: dict[str, Any]


def run_program(
    stack: str,
    backend: Backend,
    *,
    preview: bool,
    config: Mapping[str, str] | None = None,
    project_root: Path = PROJECT_ROOT,
) -> ProgramRun:
    """Run `<project_root>/__main__.py` as the stack; `ProgramError` when the program or the backend fails.

    May be called again and again in one process, one run at a time: all of Pulumi's settings live in context
    variables, and each run has a context of its own.
    """
    monitor = Monitor(stack, _project_name(project_root), backend)
    places = Places(project_root, ours=PROJECT_ROOT / "local")
    with asyncio.Runner() as runner:
        try:
            runner.run(_run(monitor, preview, dict(config or {}), project_root, places), context=contextvars.Context())
        except Exception as error:
            if monitor.failures:
                raise ProgramError("\n".join(monitor.failures)) from error
            raise ProgramError(f"{places.place(error)}: {error or type(error).__name__}") from error
    return ProgramRun(monitor.answered(), monitor.exports)


async def _run(monitor: Monitor, preview: bool, config: dict[str, str], project_root: Path, places: Places) -> None:
    loop = asyncio.get_running_loop()
    loop.set_task_factory(places.make_task)
    loop.set_default_executor(ThreadPoolExecutor(PARALLEL, thread_name_prefix="program"))
    # After the first failure others follow from it; Pulumi leaves them to be logged as "never retrieved".
    loop.set_exception_handler(lambda _loop, context: LOGGER.debug("%s", context))
    settings = Settings(
        project=monitor.project,
        stack=monitor.stack,
        organization="organization",
        root_directory=str(project_root),
        monitor=monitor,
        engine=MockEngine(LOGGER),
        dry_run=preview,
    )
    configure(settings)
    set_all_config(config, [])
    await run_in_stack(lambda: _execute(project_root))


def _execute(project_root: Path) -> None:
    """Run `__main__.py` as Pulumi's language host does: its folder importable, its name `__main__`."""
    path = [*sys.path]
    sys.path.insert(0, str(project_root))
    try:
        runpy.run_path(str(project_root / "__main__.py"), run_name="__main__")
    finally:
        sys.path[:] = path


def _project_name(project_root: Path) -> str:
    try:
        document = yaml.safe_load((project_root / "Pulumi.yaml").read_text(encoding="utf-8"))
        return str(document["name"])
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise ProgramError(f"{project_root / 'Pulumi.yaml'}: has no project name ({error})") from error
