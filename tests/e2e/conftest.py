from collections.abc import Iterator

import pytest

from tests.e2e.world import World, world


@pytest.fixture(scope="session")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Environment dev with its authorities, for all tests here; each makes devices of its own."""
    with world("dev", tmp_path_factory.mktemp("dev") / "desk") as running:
        yield running


@pytest.fixture(scope="session")
def production(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Environment production: three regions, every authority's key in KMS."""
    with world("production", tmp_path_factory.mktemp("production") / "desk") as running:
        yield running
