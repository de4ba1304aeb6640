"""`python -m local story`: what `make up` shows."""

import json
from dataclasses import asdict

import typer
from rich.console import Console
from rich.markup import escape

from local.deployment import Deployment
from local.desk import default_home
from local.progress import Quiet, progress_on
from local.story import STACK, Ending, StoryError, Teller, tell
from local.up import bring_up
from local.up_command import BAD_INPUT, DESK_ERRORS, INTERRUPTED, AsJson, Home, what_still_runs

STORY_FAILED = 1


def story(home: Home = None, as_json: AsJson = False) -> None:
    """Deploy dev, issue an identity, connect a device over mutual TLS, and show that its data arrived.

    Exit codes: 0 what was sent was found, equal; 1 a step failed; 2 the desk or the stack is wrong; 130
    interrupted by a person.
    """
    console = Console(highlight=False, soft_wrap=True, quiet=as_json)
    folder = (home or default_home(STACK)).absolute()

    def deploy() -> Deployment:
        if not console.is_terminal:
            return bring_up(STACK, folder, progress=Quiet())
        with console.status("") as status:
            return bring_up(STACK, folder, progress=progress_on(console, status))

    steps = iter(range(1, 100))
    teller = Teller(
        step=lambda text: console.print(f"\n[bold]{next(steps)}. {escape(text)}[/]"),
        command=lambda text: console.print(f"   [dim]$ {escape(text)}[/]"),
        line=lambda text: console.print(f"   {escape(text)}"),
    )
    try:
        ending = tell(folder, deploy, teller)
    except KeyboardInterrupt:
        raise _failed(what_still_runs(STACK, folder), INTERRUPTED) from None
    except DESK_ERRORS as error:
        raise _failed(str(error), BAD_INPUT) from None
    except StoryError as error:
        raise _failed(str(error), STORY_FAILED) from None
    if as_json:
        typer.echo(json.dumps(asdict(ending), indent=2))
    _conclude(ending, console)


def _conclude(ending: Ending, console: Console) -> None:
    for name in ending.objects:
        console.print(f"   {name}", markup=False)
    console.print(
        f"\n[bold green]{ending.device} -> {ending.cluster} ({ending.server_name}): {len(ending.objects)} S3 objects, "
        f"{ending.sent} measurements sent, {ending.found} found, equal[/]"
    )
    console.print("\nThe cloud is still running. Try next:", markup=False)
    python = ending.revoke.partition(" ")[0]
    for command, purpose in (
        (f"{python} -m local status", "what runs, and where it listens"),
        (f"{python} -m local logs", "what the embedded cloud says"),
        (f'eval "$({python} -m local env)"', "point any AWS tool at it"),
        ("make plan", "what each environment consists of, as text"),
        ("make down", "stop it, leave nothing behind"),
    ):
        console.print(f"  {command:<46} {purpose}", markup=False)
    console.print(f"  take the identity back, after that eval:\n    {ending.revoke}", markup=False)
    console.print("  move it to another cluster: docs/desk.md", markup=False)


def _failed(message: str, code: int) -> typer.Exit:
    Console(stderr=True).print(f"\n{message}", markup=False, highlight=False, soft_wrap=True, style="red")
    return typer.Exit(code)
