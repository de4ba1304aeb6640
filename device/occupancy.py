"""One device, one process: two at work in one folder would share a name, a buffer and an epoch."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class OccupiedError(Exception):
    """Another process works here; says where."""


@contextmanager
def occupied(folder: Path) -> Iterator[None]:
    """Hold the folder; `OccupiedError` when it is held. A killed process holds nothing.

    The folder itself is locked, which writes nothing: so a device works on flash that takes nothing too.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OccupiedError(f"{folder}: a device is at work in it already; stop that one first") from error
        yield
    finally:
        os.close(descriptor)
