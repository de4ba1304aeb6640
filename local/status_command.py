"""`python -m local status`: what runs on a desk, where it listens, and whether it is well."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from local.cells import read_cells
from local.desk import DeskError, DeskRecord, default_home, read_desk
from local.network_process import read_network
from local.up_command import BAD_INPUT, AsJson, Home, Stack

UNHEALTHY = 1
"""Exit code when something that should run does not."""


@dataclass(frozen=True)
class Part:
    """One process of a desk."""

    part: str
    pid: int
    healthy: bool
    addresses: dict[str, str]


def read_parts(home: Path, record: DeskRecord) -> Iterator[Part]:
    """Every process the desk should have."""
    cells = read_cells(home, home_region=record.home_region)
    for region, cell in sorted(cells.cells.items()) if cells else ():
        addresses = {"AWS": cell.endpoint, "MQTT": f"127.0.0.1:{cell.mqtt_port}"}
        yield Part(f"cell {region}", cell.pid, cell.is_healthy, addresses)
    network = read_network(home)
    if network:
        addresses = {"AWS endpoint": record.aws_endpoint_url, "DNS": record.dns, "device proxy": record.proxy}
        yield Part("network", network.pid, network.is_healthy, addresses)


def existing_desk(home: Path, stack: str) -> DeskRecord:
    """The record of a desk that must be there; `DeskError` says how to bring it up."""
    record = read_desk(home)
    if record is None:
        raise DeskError(f"{home}: no desk is here; bring one up with: python -m local up --stack {stack}")
    return record


def status(stack: Stack = "dev", home: Home = None, as_json: AsJson = False) -> None:
    """Show the processes of a desk, their ports and health.

    Exit codes: 0 all is well, 1 something does not run, 2 there is no desk.
    """
    console, errors = Console(), Console(stderr=True)
    folder = home or default_home(stack)
    try:
        record = existing_desk(folder, stack)
    except DeskError as error:
        errors.print(str(error), markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(BAD_INPUT) from None
    parts = list(read_parts(folder, record))
    expected = len(record.cells) + 1
    well = len(parts) == expected and all(part.healthy for part in parts)
    if as_json:
        document = {"stack": record.stack, "home": str(folder), "healthy": well, "parts": [asdict(p) for p in parts]}
        typer.echo(json.dumps(document, indent=2))
    else:
        _show(record, parts, console)
    if not well:
        errors.print(f"The desk is not well; bring it up again with: python -m local up --stack {record.stack}")
        raise typer.Exit(UNHEALTHY)


def _show(record: DeskRecord, parts: list[Part], console: Console) -> None:
    table = Table("part", "pid", "health", "listens on", title=f"The desk of {record.stack}")
    for part in parts:
        addresses = "\n".join(f"{name} {address}" for name, address in part.addresses.items())
        health = "[green]healthy[/green]" if part.healthy else "[red]not running[/red]"
        table.add_row(part.part, str(part.pid), health, addresses)
    console.print(table)
