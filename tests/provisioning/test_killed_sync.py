"""A sync that is killed goes on where it was, and tells nothing twice that matters."""

import os
import signal
import subprocess
import sys

import pytest

from tests.provisioning.connected import UNREACHABLE, Connected
from tests.provisioning.factory import ROOT
from tests.provisioning.many import issue_many
from tests.provisioning.registry.test_eager import FAST

pytestmark = pytest.mark.cloud


def die(connected: Connected, moment: str, *more: str) -> None:
    order = ("sync", "--stack", "dev", "--outputs", connected.outputs, "--factory", connected.factory.folder, *more)
    died = subprocess.run(
        [sys.executable, "-m", "tests.provisioning.dying_station", moment, *map(str, order)],
        cwd=ROOT,
        capture_output=True,
        check=False,
        env={**os.environ, **connected.variables},
    )
    assert died.returncode == -signal.SIGKILL, f"{moment} was never reached: {died.stderr!r}"


@pytest.mark.parametrize(
    ("moment", "uploaded", "already_there"),
    [("before:tell:2", 300, 0), ("after:tell:2", 200, 100), ("after:remember:2", 200, 0)],
)
def test_what_was_told_is_found_and_the_rest_is_told(
    moment: str, uploaded: int, already_there: int, connected: Connected
) -> None:
    """Two clusters, 200 identities, a hundred a call: four calls."""
    issue_many(connected.factory, 200, f"killed-{uploaded}-{already_there}")
    die(connected, moment)
    rerun = connected.sync()
    assert rerun.code == 0, rerun.err
    told = [row["manifest"] for row in rerun.json["told"]]
    assert (told.count("uploaded"), told.count("already there")) == (uploaded, already_there)
    nobody = {**connected.variables, "AWS_ENDPOINT_URL": UNREACHABLE}
    assert connected.sync(variables=nobody).json == {"told": []}


@pytest.mark.parametrize("moment", ["before:register:1", "after:register:3"])
def test_registration_ahead_that_was_killed_is_finished(moment: str, connected: Connected) -> None:
    issue_many(connected.factory, 8, f"cut-{moment.replace(':', '-')}")
    more = ("--eager", "--authorities", str(connected.factory.authorities), *FAST)
    die(connected, moment, *more)
    rerun = connected.sync(*more)
    assert rerun.code == 0, rerun.err
    outcomes = {row["certificate"] for row in rerun.json["told"]}
    assert outcomes <= {"registered", "already registered"}
    nobody = {**connected.variables, "AWS_ENDPOINT_URL": UNREACHABLE}
    assert connected.sync(*more, variables=nobody).json == {"told": []}
