"""`python -m stacks check`: is every stack file in order? For a reviewer, and for a pipeline by `--json`.

Exit codes: 0 all in order, 2 a problem was found.
"""

import json
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from stacks.environment import CaCertificate, Default, Environment
from stacks.errors import Problem, StackError
from stacks.load import AUTHORITIES, STACKS, available_stacks, find_ca_certificates, load_environment

PROBLEM_FOUND = 2
"""Exit code: bad input."""

app = typer.Typer(help="The data of each environment.", add_completion=False, no_args_is_help=True)


@dataclass(frozen=True, kw_only=True)
class Report:
    """What `check` found of one stack."""

    stack: str
    environment: Environment | None
    certificates: dict[str, CaCertificate]
    problems: tuple[Problem, ...]


def examine(stack: str, *, today: date, directory: Path, authorities: Path) -> Report:
    """The report on a stack file and, where the file is good, on its authorities' certificates."""
    environment = None
    try:
        environment = load_environment(stack, today=today, directory=directory)
        certificates = find_ca_certificates(environment, authorities / stack, today=today)
    except StackError as error:
        return Report(stack=stack, environment=environment, certificates={}, problems=error.problems)
    return Report(stack=stack, environment=environment, certificates=certificates, problems=())


@app.callback()
def stacks() -> None:
    """Keeps `check` a word of its own while it is the only command."""


@app.command()
def check(
    stack: Annotated[list[str] | None, typer.Option(help="A stack to check; all of them without.")] = None,
    directory: Annotated[Path, typer.Option(help="Where the stack files are.", file_okay=False)] = STACKS,
    authorities: Annotated[
        Path, typer.Option(help="Where <stack>/<authority>.pem are.", file_okay=False)
    ] = AUTHORITIES,
    as_json: Annotated[bool, typer.Option("--json", help="For machines: a JSON list, one object a stack.")] = False,
) -> None:
    """Check every stack file, and show what each environment is."""
    today = datetime.now(UTC).date()
    names = stack or available_stacks(directory)
    reports = [examine(name, today=today, directory=directory, authorities=authorities) for name in names]
    console = Console()
    if as_json:
        console.out(json.dumps([as_data(report) for report in reports], indent=2), highlight=False)
    else:
        show(reports, console)
    if not reports or any(report.problems for report in reports):
        raise typer.Exit(PROBLEM_FOUND)


def as_data(report: Report) -> dict[str, object]:
    """The report as JSON values."""
    return {
        "stack": report.stack,
        "valid": not report.problems,
        "problems": [asdict(problem) for problem in report.problems],
        "environment": report.environment and report.environment.model_dump(mode="json"),
        "certificates": {name: found.not_after.isoformat() for name, found in report.certificates.items()},
    }


def show(reports: list[Report], console: Console) -> None:
    """The reports for people: problems as `file:line: key: rule; way out`, environments as a table."""
    if not reports:
        console.print("no stack file Pulumi.<stack>.yaml here; give --directory")
    good = [report.environment for report in reports if report.environment and not report.problems]
    if good:
        console.print(_table(good, {report.stack: report.certificates for report in reports}))
    for report in reports:
        for problem in report.problems:
            console.out(str(problem), style="red", highlight=False)


def _table(environments: list[Environment], certificates: dict[str, dict[str, CaCertificate]]) -> Table:
    columns = [Column(environment.name, overflow="fold") for environment in environments]
    table = Table(Column(""), *columns, show_lines=True)
    table.add_row("domain", *(environment.domain for environment in environments))
    table.add_row("owner", *(environment.owner for environment in environments))
    clusters = [
        [f"{n}  {c.region}  {c.residency}" for n, c in environment.clusters.items()] for environment in environments
    ]
    table.add_row("clusters", *map("\n".join, clusters))
    table.add_row("default", *(_default(environment.default) for environment in environments))
    table.add_row("authorities", *(_authorities(each, certificates[each.name]) for each in environments))
    models = [
        [f"{name}  {model.key_storage}" for name, model in environment.models.items()] for environment in environments
    ]
    table.add_row("models", *map("\n".join, models))
    pins = [
        [f"{pin.device} → {pin.cluster or pin.address}" for pin in environment.pins] for environment in environments
    ]
    table.add_row("pins", *map("\n".join, pins))
    return table


def _default(default: Default) -> str:
    places = [f"{continent} → {cluster}" for continent, cluster in default.continents.items()]
    clusters = [default.cluster] if default.cluster else list(default.clusters)
    return "\n".join([f"{default.choose}: {', '.join(clusters)}", *places])


def _authorities(environment: Environment, certificates: dict[str, CaCertificate]) -> str:
    def until(name: str) -> str:
        found = certificates.get(name)
        return f"until {found.not_after:%Y-%m-%d}" if found else "no certificate yet"

    return "\n".join(f"{name}  {authority.key}  {until(name)}" for name, authority in environment.authorities.items())


if __name__ == "__main__":
    sys.exit(app())
