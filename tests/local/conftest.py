from collections.abc import Iterator

import pytest

from tests.local.running_desk import RunningDesk, running_desk


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDesk]:
    """One desk for the tests that only use it."""
    with running_desk(tmp_path_factory.mktemp("desk")) as running:
        yield running
