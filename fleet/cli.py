"""`python -m fleet`: day two."""

import typer

from fleet.commands.apply import apply
from fleet.commands.check import check
from fleet.commands.compact import compact
from fleet.commands.debug import debug
from fleet.commands.export import export
from fleet.commands.plan import plan
from fleet.commands.replay import replay
from fleet.commands.rollback import rollback
from fleet.commands.show import show
from fleet.commands.simulate import simulate
from fleet.commands.sweep import sweep

route = typer.Typer(
    help="Move any device, lose none: plan, apply, roll back, check, explain.",
    no_args_is_help=True,
    add_completion=False,
)
lake = typer.Typer(
    help="The lake: bring back what was refused, keep it compact.", no_args_is_help=True, add_completion=False
)
app = typer.Typer(
    help="Day two. Exit codes: 0 done, 1 not done and may be rerun, 2 refused: change the request first.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(route, name="route")
app.add_typer(lake, name="lake")
app.command()(simulate)

route.command()(plan)
route.command()(apply)
route.command()(rollback)
route.command()(check)
route.command()(show)
route.command()(export)
route.command()(debug)
route.command()(sweep)

lake.command()(replay)
lake.command()(compact)
