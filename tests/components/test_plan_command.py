"""`python -m local plan` as its users meet it."""

import json
from pathlib import Path
from textwrap import dedent

import pytest
import typer
from typer.testing import CliRunner

from local import plan_command

PROGRAM = """
import pulumi
import pulumi_aws as aws
class Post(pulumi.ComponentResource):
    def __init__(self, name):
        super().__init__("tiny:index:Post", name)
        aws.sqs.Queue(f"{name}-queue", message_retention_seconds=60, opts=pulumi.ResourceOptions(parent=self))
Post("post")
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a small program, in place of ours."""
    (tmp_path / "Pulumi.yaml").write_text("name: tiny\nruntime: python\n", encoding="utf-8")
    (tmp_path / "__main__.py").write_text(dedent(PROGRAM), encoding="utf-8")
    monkeypatch.setattr(plan_command, "PROJECT_ROOT", tmp_path)
    return tmp_path


def run(*arguments: str) -> tuple[int, str, str]:
    app = typer.Typer()
    app.command()(plan_command.plan)
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.stdout, result.stderr


def test_a_plan_is_written_and_then_up_to_date(project: Path) -> None:
    code, shown, _ = run("--stack", "dev")
    assert (code, "dev.plan.yaml written" in shown) == (0, True)
    assert (project / "stacks" / "dev.plan.yaml").stat().st_mode & 0o777 == 0o644, "a plan is no secret"
    code, shown, _ = run("--stack", "dev", "--check")
    assert (code, "post" in shown, "+++" in shown) == (0, True, False)


def test_check_shows_what_is_stale_writes_nothing_and_exits_1(project: Path) -> None:
    run("--stack", "dev")
    path = project / "stacks" / "dev.plan.yaml"
    old = path.read_text(encoding="utf-8").replace("messageRetentionSeconds: 60", "messageRetentionSeconds: 61")
    path.write_text(old, encoding="utf-8")
    code, shown, said = run("--stack", "dev", "--check")
    assert code == 1
    assert "-    messageRetentionSeconds: 61\n+    messageRetentionSeconds: 60\n" in shown
    assert "make plan" in said
    assert path.read_text(encoding="utf-8") == old


def test_json_says_the_same_to_a_machine(project: Path) -> None:
    code, shown, _ = run("--stack", "dev", "--check", "--json")
    (told,) = json.loads(shown)
    assert code == 1
    assert (told["stack"], told["stale"]) == ("dev", True)
    assert told["components"] == [{"component": "post", "resources": 2, "added": 2, "changed": 0, "removed": 0}]
    assert "+stack: dev" in told["diff"]


def test_a_stack_that_does_not_exist_is_refused_with_those_that_do(project: Path) -> None:
    code, _, said = run("--stack", "nope")
    assert code == 2
    assert "dev, production, staging" in said
    assert "Traceback" not in said


def test_a_program_that_fails_is_one_line_and_no_traceback(project: Path) -> None:
    (project / "__main__.py").write_text("raise ValueError('the way out')\n", encoding="utf-8")
    code, _, said = run("--stack", "dev")
    assert (code, said) == (2, "__main__.py:1: the way out\n")
