"""`python -m local`: the desk. Every command has `--help`."""

import typer

from local.down_command import down
from local.environment_command import env
from local.logs_command import logs
from local.plan_command import plan
from local.status_command import status
from local.story_command import story
from local.up_command import up

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="The desk: an embedded AWS on this machine, and the program applied to it.",
)
for command in (up, down, status, logs, env, plan, story):
    app.command()(command)

if __name__ == "__main__":
    app(prog_name="python -m local")
