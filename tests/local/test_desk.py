"""Desks come up, come up again, recover and go, and never take anything with them that is not theirs."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from local.__main__ import app
from local.apply import Action
from local.background import _working_for
from local.desk import RECORD_FILE, DeskError, DeskRecord, claim_desk, open_desks, remove_desk, sole_use, write_desk
from local.program import PROJECT_ROOT
from local.state import Step, read_state
from local.up import bring_up
from stacks.outputs import Outputs
from tests.local.tiny_program import write_program

pytestmark = pytest.mark.cloud

PROGRAM = """
aws.sqs.Queue("letters", name="letters")
for name, value in {
    "version": 1, "environment": "dev", "domain": "d.example.com", "home_region": "eu-north-1", "zone_id": "Z",
    "name_servers": [], "device_policy_name": "p", "clusters": {}, "authorities": {},
    "authorities_without_certificate": {},
    "routing": {
        "route_table": "routes",
        "default": {"choose": "single", "cluster": "eu1"},
        "pins": {},
        "max_share_percent": 10,
    },
}.items():
    pulumi.export(name, value)
"""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "desk"
    yield folder
    remove_desk(folder)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_a_desk_comes_up_twice_with_one_result_and_goes_without_a_trace(home: Path, tmp_path: Path) -> None:
    root = write_program(tmp_path / "project", PROGRAM)
    first = bring_up("dev", home, project_root=root)
    second = bring_up("dev", home, project_root=root)
    assert second.record == first.record, "the same processes on the same ports"
    assert (first.outcomes[0].action, second.outcomes[0].action) == (Action.CREATED, Action.UNCHANGED)
    assert Outputs.model_validate_json((home / "outputs.json").read_text(encoding="utf-8")) == first.outputs
    folders = [home / "network", *(home / "cells" / region for region in first.record.cells)]
    assert all(_working_for(folder) for folder in folders)

    status = run("status", "--home", str(home), "--json")
    assert status.exit_code == 0
    assert [part["healthy"] for part in json.loads(status.stdout)["parts"]] == [True, True, True]
    logs = run("logs", "--home", str(home), "--region", "us-east-1")
    assert logs.stdout.startswith("==> us-east-1 <==")

    down = run("down", "--home", str(home), "--json")
    assert json.loads(down.stdout) == {"removed": [str(home)]}
    assert not home.exists()
    assert not any(_working_for(folder) for folder in folders)
    assert json.loads(run("down", "--home", str(home), "--json").stdout) == {"removed": []}


def test_after_an_interrupted_run_the_cloud_is_built_anew_and_says_so(home: Path, tmp_path: Path) -> None:
    root = write_program(tmp_path / "project", PROGRAM)
    first = bring_up("dev", home, project_root=root)
    state = read_state(home)
    (entry,) = state.entries()
    state.put(entry.model_copy(update={"step": Step.CHANGING}))
    again = bring_up("dev", home, project_root=root)
    assert "ended in the middle of aws:sqs/queue:Queue letters" in again.started_anew
    assert again.outcomes[0].action is Action.CREATED
    assert again.record.aws_endpoint_url
    assert again.outputs == first.outputs


def test_a_cell_that_was_lost_takes_the_rest_with_it_and_all_is_built_anew(home: Path, tmp_path: Path) -> None:
    root = write_program(tmp_path / "project", PROGRAM)
    bring_up("dev", home, project_root=root)
    (pid,) = _working_for(home / "cells" / "us-east-1")
    os.kill(pid, signal.SIGKILL)
    assert run("status", "--home", str(home)).exit_code == 1
    again = bring_up("dev", home, project_root=root)
    assert "cells were started, stopped or lost" in again.started_anew
    assert again.outcomes[0].action is Action.CREATED
    assert run("status", "--home", str(home)).exit_code == 0


def test_a_program_with_wrong_exports_leaves_no_outputs_and_one_clear_line(home: Path, tmp_path: Path) -> None:
    root = write_program(tmp_path / "project", 'pulumi.export("version", 1)')
    with pytest.raises(Exception, match=r"exports are not what stacks/outputs\.py says"):
        bring_up("dev", home, project_root=root)
    assert not (home / "outputs.json").exists()


def test_an_unknown_stack_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    result = run("up", "--stack", "nowhere", "--home", str(tmp_path / "desk"))
    assert result.exit_code == 2
    assert "there is no such stack file" in result.stderr
    assert not (tmp_path / "desk").exists()


def test_a_folder_with_files_of_somebody_else_never_becomes_a_desk_and_is_never_removed(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(DeskError, match="holds files that are not a desk's"):
        claim_desk(tmp_path, "dev")
    with pytest.raises(DeskError, match="is not a desk, so nothing of it is removed"):
        remove_desk(tmp_path)
    assert run("down", "--home", str(tmp_path)).exit_code == 2
    assert run("up", "--home", str(tmp_path)).exit_code == 2
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.txt"], "not even a lock is left there"
    assert (tmp_path / "thesis.txt").read_text(encoding="utf-8") == "years of work"


def test_removing_a_desk_follows_no_link_out_of_it(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "thesis.txt").write_text("years of work", encoding="utf-8")
    claim_desk(tmp_path / "desk", "dev")
    (tmp_path / "desk" / "link").symlink_to(outside)
    assert remove_desk(tmp_path / "desk")
    assert (outside / "thesis.txt").exists()


def test_a_desk_belongs_to_one_stack(home: Path) -> None:
    claim_desk(home, "dev")
    with pytest.raises(DeskError, match="is the desk of stack dev"):
        claim_desk(home, "production")


def test_two_commands_do_not_change_one_desk_at_once(home: Path) -> None:
    claim_desk(home, "dev")
    with sole_use(home), pytest.raises(DeskError, match="another command is working on this desk"), sole_use(home):
        pass
    with sole_use(home):
        pass


def test_a_record_that_cannot_be_read_is_an_error_and_not_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / RECORD_FILE).write_text("{", encoding="utf-8")
    with pytest.raises(DeskError, match=r"desk\.json: cannot be read as a desk's record"):
        remove_desk(tmp_path)


def test_all_desks_of_a_folder_are_found(tmp_path: Path) -> None:
    for stack in ("production", "dev"):
        write_desk(tmp_path / stack, DeskRecord(stack=stack))
    (tmp_path / "other").mkdir()
    assert open_desks(tmp_path) == (tmp_path / "dev", tmp_path / "production")


def test_status_and_logs_without_a_desk_say_so(tmp_path: Path) -> None:
    status = run("status", "--home", str(tmp_path / "none"))
    assert status.exit_code == 2
    assert "bring one up with: python -m local up --stack dev" in status.stderr.replace("\n", "")
    assert run("logs", "--home", str(tmp_path / "none")).exit_code == 2


def test_desks_of_the_project_are_never_committed() -> None:
    assert ".flotilla/" in (PROJECT_ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
