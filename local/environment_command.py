"""`python -m local env`: what to set so that any AWS tool talks to the desk."""

import json
from pathlib import Path

import typer
from rich.console import Console

from local.aws_environment import aws_environment
from local.desk import DeskError, DeskRecord, default_home, read_desk
from local.up_command import BAD_INPUT, AsJson, Home, Stack


def env(stack: Stack = "dev", home: Home = None, as_json: AsJson = False) -> None:
    """Print the environment variables of a desk, ready for `eval "$(python -m local env)"`.

    Exit codes: 0 printed, 2 there is no such desk.
    """
    try:
        variables = aws_environment(_running(home or default_home(stack), stack))
    except DeskError as error:
        Console(stderr=True).print(str(error), markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(BAD_INPUT) from None
    if as_json:
        typer.echo(json.dumps(dict(variables), indent=2))
        return
    for name, value in variables.items():
        typer.echo(f"export {name}={value}")


def _running(home: Path, stack: str) -> DeskRecord:
    record = read_desk(home)
    if record is None or not record.aws_endpoint_url:
        raise DeskError(f"{home}: no desk is up here; start it with: python -m local up --stack {stack}")
    return record
