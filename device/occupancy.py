"""One device, one process: two at work in one folder would share a name, a buffer and an epoch."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK_FILE = "agent.lock"


class OccupiedError(Exception):
    """Another process works here; says where."""


@contextmanager
def occupied(folder: Path) -> Iterator[None]:
    """Hold the folder; `OccupiedError` when it is held. A killed process holds nothing."""
    with (folder / LOCK_FILE).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OccupiedError(f"{folder}: a device is at work in it already; stop that one first") from error
        yield
