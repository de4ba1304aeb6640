"""The network's process: started once, on the same ports again, and gone when it is stopped."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from local import network_process
from local.background import _working_for
from local.cells import Cells, start_cells
from local.network_process import Network, NetworkError, read_network, start_network
from tests.local.running_desk import DOMAIN, HOME_REGION, RunningDesk, kill
from tests.local.test_cells import listeners

pytestmark = pytest.mark.cloud


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("network")


@pytest.fixture(scope="module")
def cells(home: Path) -> Iterator[Cells]:
    started = start_cells(home, [], home_region=HOME_REGION, domain=DOMAIN)
    yield started
    started.stop()


@pytest.fixture
def network(home: Path, cells: Cells) -> Iterator[Network]:
    started = start(home, cells)
    yield started
    remembered = read_network(home)
    if remembered is not None:
        remembered.stop()
    assert _working_for(home.absolute() / "network") == []


def start(home: Path, cells: Cells, vantage_region: str = HOME_REGION) -> Network:
    return start_network(home, cells, domain=DOMAIN, vantage_region=vantage_region)


def test_it_listens_on_loopback_only(network: Network) -> None:
    assert listeners(network.pid) == ["0100007F"] * 3, "front door, DNS and proxy, on 127.0.0.1"


def test_started_again_the_same_one_is_used(home: Path, cells: Cells, network: Network) -> None:
    assert start(home, cells) == network == read_network(home)


def test_killed_it_comes_back_on_the_same_ports(home: Path, cells: Cells, network: Network) -> None:
    kill(network.process)
    again = start(home, cells)
    assert again.process != network.process
    assert again.ports == network.ports, "what a user exported stays true"
    assert again.is_healthy


def test_asked_for_something_else_it_is_started_anew(home: Path, cells: Cells, network: Network) -> None:
    moved = start(home, cells, "us-east-1")
    assert moved.settings.vantage_region == "us-east-1"
    assert moved.ports == network.ports
    assert not network.process.is_alive


def test_stopped_it_is_forgotten_and_stopping_again_is_harmless(home: Path, network: Network) -> None:
    network.stop()
    network.stop()
    assert not network.process.is_alive
    assert read_network(home) is None


def test_two_desks_stand_side_by_side(desk: RunningDesk, network: Network) -> None:
    assert set(vars(desk.network.ports).values()).isdisjoint(vars(network.ports).values())
    assert desk.network.is_healthy
    assert network.is_healthy


def test_one_that_will_not_start_is_an_error_with_the_end_of_its_log(
    tmp_path: Path, cells: Cells, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network_process, "_PROJECT", tmp_path / "no-project-here")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NetworkError, match=r"(?s)ended at once.*No module named"):
        start(tmp_path, cells)
    assert read_network(tmp_path) is None
