import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.bench import Bench, Point
from tests.faults.warm import WarmStation, warm_station
from tests.provisioning.factory import Factory


@pytest.fixture(scope="session")
def opened_factory(tmp_path_factory: pytest.TempPathFactory) -> Factory:
    """A factory after its ceremony; every fault strikes a copy of it."""
    factory = Factory(tmp_path_factory.mktemp("factory"))
    held = factory.ceremony()
    assert held.code == 0, held.err
    assert factory.issue("device0").code == 0, "there is a ledger already, as on all days but the first"
    return factory


@pytest.fixture
def factory(opened_factory: Factory, tmp_path: Path) -> Factory:
    """A copy of one's own."""
    shutil.copytree(opened_factory.home, tmp_path, dirs_exist_ok=True)
    return Factory(tmp_path)


@pytest.fixture(scope="session")
def station() -> Iterator[WarmStation]:
    with warm_station() as station:
        yield station


@pytest.fixture(scope="session")
def bench(station: WarmStation, opened_factory: Factory, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(station, opened_factory, tmp_path_factory.mktemp("cases"))


@pytest.fixture(scope="session")
def points(bench: Bench) -> list[Point]:
    """The calls of a sound issuance whose key is made here."""
    return bench.points(is_key_generated=True)
