from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest


@pytest.fixture
def quick() -> Iterator[Path]:
    """Thousands of states are opened: in memory, where a machine has some to mount."""
    with TemporaryDirectory(dir=memory if (memory := Path("/dev/shm")).is_dir() else None) as folder:  # noqa: S108
        yield Path(folder)
