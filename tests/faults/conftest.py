import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.faults.bench import Bench
from tests.faults.warm import Order, WarmStation, warm_station
from tests.provisioning.factory import CEREMONY, Factory


@pytest.fixture(scope="session")
def station() -> Iterator[WarmStation]:
    with warm_station() as station:
        yield station


@pytest.fixture(scope="session")
def untouched_factory(station: WarmStation, tmp_path_factory: pytest.TempPathFactory) -> Factory:
    """A factory whose ceremony was held ten days ago, so that a clock that is a day late is still after it."""
    factory = Factory(tmp_path_factory.mktemp("untouched"))
    file = factory.home / "ceremony.yaml"
    file.write_text(CEREMONY, encoding="utf-8")
    held = station.run(
        Order(
            arguments=["ceremony", file, "--factory", factory.folder, "--out", factory.authorities],
            out=factory.home / "out",
            err=factory.home / "err",
            clock_ahead=timedelta(days=-10),
        )
    )
    assert held.code == 0, held.err
    return factory


@pytest.fixture(scope="session")
def opened_factory(untouched_factory: Factory, tmp_path_factory: pytest.TempPathFactory) -> Factory:
    """There is a ledger already, as on all days but the first; every fault strikes a copy of it."""
    factory = Factory(tmp_path_factory.mktemp("factory"))
    shutil.copytree(untouched_factory.home, factory.home, dirs_exist_ok=True)
    assert factory.issue("device0").code == 0
    return factory


@pytest.fixture
def factory(opened_factory: Factory, tmp_path: Path) -> Factory:
    """A copy of one's own."""
    shutil.copytree(opened_factory.home, tmp_path, dirs_exist_ok=True)
    return Factory(tmp_path)


@pytest.fixture(scope="session")
def bench(
    station: WarmStation,
    opened_factory: Factory,
    untouched_factory: Factory,
    tmp_path_factory: pytest.TempPathFactory,
) -> Bench:
    return Bench(station, opened_factory, untouched_factory, tmp_path_factory.mktemp("cases"))
