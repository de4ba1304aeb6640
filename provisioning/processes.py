"""Several processes for what one core is too slow for. They end with the process that started them, however it ends."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

from provisioning.errors import StationError


@contextmanager
def processes(count: int, prepare: Callable[..., object] = int, *arguments: Any) -> Iterator[ProcessPoolExecutor]:
    """`count` processes, each of which calls `prepare` first; what is not begun when the block ends early is dropped.

    They are started anew rather than forked: a fork would share what must not be shared, HSM sessions and SQLite's.
    """
    pool = ProcessPoolExecutor(
        count,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_begin,
        initargs=(prepare, arguments),
    )
    try:
        yield pool
    except BrokenProcessPool as error:
        raise StationError(
            "a process of this command was killed; what it acknowledged stands: run this again"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(prepare: Callable[..., object], arguments: tuple[Any, ...]) -> None:
    """An interrupt is the parent's to handle: what is begun is finished."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    prepare(*arguments)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
