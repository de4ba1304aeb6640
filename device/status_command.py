"""`python -m device status`: what a device's folder holds."""

import json
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from device.slots import Place
from device.status import Status, read_status

BAD_INPUT = 2


def status(
    bundle: Annotated[Path, typer.Option(help="The folder the factory handed over.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Look into a device: its buffer, its slots, its configuration, its last orders. Changes nothing."""
    try:
        with tempfile.TemporaryDirectory() as scratch:
            found = read_status(bundle, Path(scratch))
    except OSError as error:
        _refuse(f"{error.filename}: {error.strerror}; give the folder that `provisioning issue` wrote")
    except ValidationError as error:
        _refuse(f"{bundle}: holds no bundle of ours: {error.errors()[0]['msg']}; issue it again")
    if as_json:
        typer.echo(json.dumps(_document(found)))
    else:
        _print(found)


def _refuse(message: str) -> None:
    Console(stderr=True, highlight=False).print(message, style="red", markup=False, soft_wrap=True)
    raise typer.Exit(BAD_INPUT)


def _document(found: Status) -> dict[str, Any]:
    buffer = found.buffer
    return {
        "device": found.bundle.device,
        "model": found.bundle.model,
        "starts": found.state.boot_count,
        "admitted_by": list(found.state.admitted_by),
        "buffer": {
            "bytes": buffer.bytes,
            "damage": buffer.damage or None,
            "waiting": {
                name: {"rows": each.rows, "oldest": each.oldest.isoformat() if each.oldest else None}
                for name, each in (buffer.waiting or {}).items()
            },
            "dropped": dict(buffer.dropped or {}),
        },
        "slots": {
            "active": found.slots.active.value,
            **{
                place.value: {"state": slot.state.value, "version": slot.version, "tries": slot.tries}
                for place in Place
                for slot in [found.slots.at(place)]
            },
        },
        "configuration": found.configuration,
        "orders": [
            {"order": each.key, "status": each.status, "reason": each.reason, "begun_at_start": each.boot}
            for each in found.orders
        ],
    }


def _print(found: Status) -> None:
    console = Console(highlight=False)
    bundle = found.bundle
    console.print(f"{bundle.device}, {bundle.model}, {found.state.boot_count} starts", style="bold")
    console.print(f"admitted by  {', '.join(found.state.admitted_by) or 'no cluster yet'}")
    console.print(f"works by     {json.dumps(found.configuration) if found.configuration else 'the defaults'}")
    _print_buffer(console, found)
    slots = Table("slot", "state", "version", "tries", box=SIMPLE_HEAD, pad_edge=False)
    for place in Place:
        slot = found.slots.at(place)
        runs = " (runs)" if place is found.slots.active else ""
        slots.add_row(place.value + runs, slot.state.value, slot.version, str(slot.tries or ""))
    console.print(slots)
    if found.orders:
        orders = Table("order", "status", "reason", box=SIMPLE_HEAD, pad_edge=False)
        for each in found.orders:
            orders.add_row(each.key, each.status or "begun, not over", each.reason)
        console.print(orders)


def _print_buffer(console: Console, found: Status) -> None:
    buffer = found.buffer
    if buffer.damage:
        console.print(
            f"buffer       damaged: {buffer.damage}; the next start saves what it can", style="red", markup=False
        )
        return
    dropped = ", ".join(f"{rows:,} {reason}" for reason, rows in (buffer.dropped or {}).items())
    console.print(f"buffer       {buffer.bytes:,} bytes; dropped: {dropped or 'nothing'}")
    table = Table("priority", "rows waiting", "oldest", box=SIMPLE_HEAD, pad_edge=False)
    for name, each in (buffer.waiting or {}).items():
        table.add_row(name, f"{each.rows:,}", each.oldest.isoformat(timespec="seconds") if each.oldest else "")
    if buffer.waiting:
        console.print(table)
