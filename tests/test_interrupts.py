"""Whoever interrupts a command is told where it stands, never a traceback."""

import builtins
import runpy
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

import fleet.commands.telling
import local.up_command
import provisioning.commands.telling
from local.__main__ import app as desk_app


@pytest.mark.parametrize("program", ["provisioning", "fleet"])
def test_a_program_that_is_stopped_while_it_starts_ends_without_a_word(
    program: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = builtins.__import__

    def stopped(name: str, *more: Any, **named: Any) -> Any:
        if name == f"{program}.cli":
            raise KeyboardInterrupt
        return real(name, *more, **named)

    monkeypatch.setattr(builtins, "__import__", stopped)
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(program, run_name="__main__")
    assert (ended.value.code, capsys.readouterr().err) == (130, "")


@pytest.mark.parametrize("errors_told", [provisioning.commands.telling.errors_told, fleet.commands.telling.errors_told])
def test_a_command_that_is_stopped_at_work_says_that_what_it_told_is_not_all(
    errors_told: Callable[[], AbstractContextManager[None]], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as ended, errors_told():
        raise KeyboardInterrupt
    assert ended.value.exit_code == 130
    assert "interrupted, so what is told is not all; what was done stands" in capsys.readouterr().err


def test_a_desk_that_is_stopped_while_it_comes_up_says_what_still_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def stopped(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(local.up_command, "bring_up", stopped)
    ended = CliRunner().invoke(desk_app, ["up", "--home", str(tmp_path)])
    assert ended.exit_code == 130
    assert "interrupted; what was started still runs" in ended.stderr
    assert f"local down --stack dev --home {tmp_path}" in ended.stderr
