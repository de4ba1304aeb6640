import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.deployment import Deployment
from tests.provisioning.connected import Connected
from tests.provisioning.factory import Factory
from tests.provisioning.token import SoftToken


@pytest.fixture(scope="session")
def opened_factory(tmp_path_factory: pytest.TempPathFactory) -> Factory:
    """A factory after its ceremony; nobody issues from this one."""
    factory = Factory(tmp_path_factory.mktemp("factory"))
    held = factory.ceremony()
    assert held.code == 0, held.err
    return factory


@pytest.fixture
def factory(opened_factory: Factory, tmp_path: Path) -> Factory:
    """A factory of one's own, after its ceremony."""
    shutil.copytree(opened_factory.home, tmp_path, dirs_exist_ok=True)
    return Factory(tmp_path)


@pytest.fixture
def connected(factory: Factory, dev_desk: Deployment) -> Connected:
    return Connected(factory, dev_desk)


@pytest.fixture(scope="session")
def token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoftToken]:
    """A token for the whole session: PKCS#11 modules are loaded once in a process."""
    made = SoftToken(tmp_path_factory.mktemp("token"))
    made.initialise()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in made.variables.items():
            patch.setenv(name, value)
        yield made
