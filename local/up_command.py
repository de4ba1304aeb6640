"""`python -m local up`: bring a stack up, and tell by component what was made and what is not emulated."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from local.apply import Action, ApplyError
from local.cell import CellError
from local.deployment import Deployment
from local.desk import DeskError, default_home
from local.network_process import NetworkError
from local.progress import Quiet, progress_on
from local.registration import ProgramError
from local.state import StateError
from local.typed import shown, typed
from local.up import bring_up
from stacks.errors import StackError

BAD_INPUT = 2
"""Exit code of every command of ours for what the caller must change."""
INTERRUPTED = 130
"""As shells have it after a SIGINT."""
Stack = Annotated[str, typer.Option("--stack", help="The stack, as in stacks/Pulumi.<stack>.yaml.")]
Home = Annotated[
    Path | None, typer.Option("--home", help="The desk's folder; .flotilla/<stack> in the project if not given.")
]
AsJson = Annotated[bool, typer.Option("--json", help="For machines: one JSON document.")]
DESK_ERRORS = (ApplyError, CellError, DeskError, NetworkError, ProgramError, StackError, StateError)
"""What a command explains in a line and ends with exit code 2."""


def up(stack: Stack = "dev", home: Home = None, as_json: AsJson = False) -> None:
    """Deploy a stack into the embedded AWS and leave it running. Harmless when repeated.

    Exit codes: 0 it runs, 2 the stack, the program or the desk is wrong; the message says what and the way out. 130
    interrupted by a person.
    """
    console, errors = Console(), Console(stderr=True)
    folder = home or default_home(stack)
    try:
        if as_json:
            deployment = bring_up(stack, folder, progress=Quiet())
        else:
            with console.status("") as status:
                deployment = bring_up(stack, folder, progress=progress_on(console, status))
    except DESK_ERRORS as error:
        errors.print(str(error), markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(BAD_INPUT) from None
    except KeyboardInterrupt:
        errors.print(what_still_runs(stack, folder), markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(INTERRUPTED) from None
    if as_json:
        typer.echo(json.dumps(summary(deployment), indent=2))
    else:
        show(deployment, console)


def summary(deployment: Deployment) -> dict[str, object]:
    """A deployment for machines."""
    return {
        "stack": deployment.stack,
        "home": str(deployment.home),
        "started_anew": deployment.started_anew,
        "desk": deployment.record.model_dump(),
        "components": [
            {
                "component": component.component,
                **{action.value: component.counts.get(action, 0) for action in Action},
                "not_emulated": list(component.gaps),
            }
            for component in deployment.components
        ],
        "outputs": deployment.outputs.model_dump(),
    }


def show(deployment: Deployment, console: Console) -> None:
    """A deployment for people."""
    table = Table("component", title=f"{deployment.stack} in the embedded AWS")
    shown = [action for action in Action if deployment.counts.get(action)]
    for action in shown:
        table.add_column(action.value, justify="right")
    table.add_column("not emulated", overflow="fold")
    for component in deployment.components:
        counts = (str(component.counts.get(action, 0) or "") for action in shown)
        table.add_row(component.component, *counts, "\n".join(component.gaps))
    console.print(table)
    record = deployment.record
    for name, value in (
        ("AWS endpoint", record.aws_endpoint_url),
        ("DNS", record.dns),
        ("device proxy", record.proxy),
        ("desk", str(deployment.home)),
    ):
        console.print(f"{name:<13} {value}", markup=False, highlight=False, soft_wrap=True)
    for line in certificate_lines(deployment):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def what_still_runs(stack: str, folder: Path) -> str:
    """For who interrupts: processes of a desk outlive the command that started them."""
    which = ("--stack", stack, *_home_options(stack, folder))
    return (
        f"interrupted; what was started still runs. Go on: {typed('local', 'up', *which)}\n"
        f"or end it: {typed('local', 'down', *which)}"
    )


def _home_options(stack: str, folder: Path) -> tuple[str, ...]:
    return () if folder == default_home(stack) else ("--home", shown(folder))


def certificate_lines(deployment: Deployment) -> list[str]:
    """Whose certificates are missing, and what makes them; one command makes several."""
    by_way: dict[str, list[str]] = {}
    for authority, way in sorted(deployment.outputs.authorities_without_certificate.items()):
        by_way.setdefault(way, []).append(authority)
    if not by_way:
        return []
    home = _home_options(deployment.stack, deployment.home)
    point = f'eval "$({typed("local", "env", "--stack", deployment.stack, *home)})"'
    return [
        *(f"no certificate yet: {', '.join(authorities)}. Make it: {way}" for way, authorities in by_way.items()),
        f"before that: {point}; after it: bring the desk up again, which registers them",
    ]
