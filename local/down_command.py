"""`python -m local down`: end a desk, its processes and its folder."""

import json
from contextlib import suppress
from typing import Annotated

import typer
from rich.console import Console

from local.desk import DESKS, DeskError, default_home, open_desks, remove_desk
from local.up_command import BAD_INPUT, AsJson, Home, Stack


def down(
    stack: Stack = "dev",
    home: Home = None,
    every: Annotated[bool, typer.Option("--all", help="Every desk of this project.")] = False,
    as_json: AsJson = False,
) -> None:
    """End a desk: no process and no file of it is left. Harmless when repeated.

    Exit codes: 0 it is gone, 2 the folder is not a desk or is in use.
    """
    console, errors = Console(), Console(stderr=True)
    folders = open_desks() if every else (home or default_home(stack),)
    try:
        removed = [str(folder) for folder in folders if remove_desk(folder)]
    except DeskError as error:
        errors.print(str(error), markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(BAD_INPUT) from None
    with suppress(OSError):
        # Only when the last desk is gone; a folder with anything in it stays.
        DESKS.rmdir()
    if as_json:
        typer.echo(json.dumps({"removed": removed}, indent=2))
        return
    for name in removed or ["nothing: no desk was up"]:
        console.print(f"removed {name}", markup=False, highlight=False, soft_wrap=True)
