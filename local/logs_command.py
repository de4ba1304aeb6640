"""`python -m local logs`: what the processes of a desk wrote."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from local.background import log_tail
from local.desk import default_home
from local.up_command import BAD_INPUT, Home, Stack


def logs(
    stack: Stack = "dev",
    home: Home = None,
    region: Annotated[str | None, typer.Option("--region", help="One cell instead of all and the network.")] = None,
    lines: Annotated[int, typer.Option("--lines", min=1, help="How many lines of each, from the end.")] = 100,
) -> None:
    """Print the end of the logs of the cells and the network, where a Lambda function's own output is too.

    Exit codes: 0 printed, 2 there is no such log.
    """
    folders = _log_folders(home or default_home(stack), region)
    if not folders:
        wanted = f"no cell of region {region}" if region else "no desk"
        Console(stderr=True).print(f"{home or default_home(stack)}: {wanted} is here", markup=False, soft_wrap=True)
        raise typer.Exit(BAD_INPUT)
    for folder in folders:
        typer.echo(f"==> {folder.name} <==")
        typer.echo(log_tail(folder, lines))


def _log_folders(home: Path, region: str | None) -> list[Path]:
    cells = sorted(path.parent for path in home.glob("cells/*/log"))
    if region is not None:
        return [folder for folder in cells if folder.name == region]
    return cells + [path.parent for path in home.glob("network/log")]
