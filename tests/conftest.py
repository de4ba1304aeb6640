"""What every test shares."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from local.deployment import Deployment
from local.desk import remove_desk
from local.up import bring_up
from tests.local.stopped_schedule import stop_sweeping
from tests.once import work_out_once

# No test here judges speed. A gate answers the same twice; new examples are looked for at people's desks.
settings.register_profile("shared-machine", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("shared-machine")

work_out_once()


@pytest.fixture(scope="session")
def dev_desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Stack dev, deployed into the embedded AWS once for all tests that only use it."""
    yield from _deployed("dev", tmp_path_factory)


@pytest.fixture(scope="session")
def production_desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Stack production, all its regions, deployed into the embedded AWS once for all tests that only use it."""
    yield from _deployed("production", tmp_path_factory)


def _deployed(stack: str, folders: pytest.TempPathFactory) -> Iterator[Deployment]:
    home = folders.mktemp(stack) / "desk"
    try:
        deployment = bring_up(stack, home)
        stop_sweeping(deployment)
        yield deployment
    finally:
        remove_desk(home)
