"""`make up`, told twice in the same place while others hold the ports it might have liked."""

import json
import os
import socket
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from local.program import PROJECT_ROOT

pytestmark = pytest.mark.cloud

USUAL_PORTS = (4566, 8883, 1883, 5353, 8080, 3128)


def local(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    command = [sys.executable, "-m", "local", *arguments]
    return subprocess.run(command, cwd=PROJECT_ROOT, env=environment, capture_output=True, text=True, check=False)


def tell(home: Path) -> dict[str, Any]:
    told = local("story", "--home", str(home), "--json")
    assert told.returncode == 0, told.stdout + told.stderr
    ending: dict[str, Any] = json.loads(told.stdout)
    return ending


@pytest.mark.timeout(600)
def test_the_story_ends_well_twice_with_the_usual_ports_taken_and_leaves_nothing(tmp_path: Path) -> None:
    home = tmp_path / "desk"
    with ExitStack() as taken:
        for port in USUAL_PORTS:
            with suppress(OSError):  # somebody else has it, which serves as well
                taken.enter_context(socket.create_server(("127.0.0.1", port)))
        first, second = tell(home), tell(home)
        processes = json.loads(local("status", "--home", str(home), "--json").stdout)
    assert (first["device"], first["cluster"], first["sent"]) == ("device1", "eu1", 300)
    assert first["found"] == second["found"] == 300
    assert set(first["objects"]).isdisjoint(second["objects"]), "a second run is new data of the same device"
    assert processes
    assert local("down", "--home", str(home)).returncode == 0
    assert not home.exists()
    running = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert str(home) not in running
