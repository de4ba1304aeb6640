"""`python -m provisioning ledger`: read what the factory did, and sign for it at the end of a shift."""

import hashlib
from collections import Counter
from typing import Annotated, Any

import typer

from provisioning.commands.options import AsJson, Device, Factory, Stack, now
from provisioning.commands.telling import MOST_ROWS, RowTeller, errors_told, tell, tell_rows
from provisioning.errors import RefusedError
from provisioning.ledger.history import count_issuances, read_history
from provisioning.ledger.ledger import Ledger
from provisioning.ledger.records import History
from provisioning.ledger.seal import seal as seal_ledger
from provisioning.ledger.times import from_microseconds
from provisioning.order import checked_device
from provisioning.station_key import station_signer

commands = typer.Typer(help="Read the ledger, and seal it at the end of a shift.", no_args_is_help=True)

ENDS = "shift"
"""What a seal is about where nobody says it."""
_SHOWN = ("device", "step", "model", "authority", "not_after", "fingerprint")


@commands.command("list")
def list_(
    stack: Stack,
    factory: Factory,
    last: Annotated[int, typer.Option(min=1, help="How many of them, the newest; --json has all.")] = MOST_ROWS,
    as_json: AsJson = False,
) -> None:
    """The issuances, the oldest first, and how far each came."""
    with errors_told(), Ledger.open(factory, stack) as ledger:
        if as_json:
            with RowTeller("issuances", as_json=True, summed_up_by=()) as teller:
                for history in read_history(ledger):
                    teller.tell(_row(history))
            return
        histories, total = list(read_history(ledger, newest=last)), count_issuances(ledger)
    tell_rows("issuances", [_row(history) for history in histories], as_json=False, columns=_SHOWN)
    counted = Counter(history.events[-1].step for history in histories)
    if counted:
        typer.echo(", ".join(f"{count} {step}" for step, count in counted.items()))
    if total > len(histories):
        typer.echo(f"the newest {len(histories):,} of {total:,}: more with --last, all with --json")


@commands.command()
def show(stack: Stack, factory: Factory, device: Device, as_json: AsJson = False) -> None:
    """Every step of every identity one device ever had."""
    with errors_told(), Ledger.open(factory, stack) as ledger:
        name = checked_device(device)
        histories = list(read_history(ledger, name))
        if not histories:
            raise RefusedError(f"device {name} is not in this ledger; `ledger list` shows who is")
    rows = [row for history in histories for row in _steps(history)]
    tell_rows("steps", rows, as_json=as_json)


@commands.command()
def seal(
    stack: Stack,
    factory: Factory,
    about: Annotated[str | None, typer.Option(help=f"What ends here, for who reads it later; default: {ENDS}.")] = None,
    as_json: AsJson = False,
) -> None:
    """Sign everything in the ledger with this station's key.

    What is sealed already is not sealed again, unless --about says other words than that seal.
    """
    with errors_told(), Ledger.open(factory, stack) as ledger:
        sealed = seal_ledger(ledger, station_signer(factory), about or ENDS, at=now(), has_own_words=about is not None)
    counts = sealed.counts
    tell(
        {
            "number": sealed.number,
            "at": from_microseconds(sealed.at).isoformat(),
            "about": sealed.about,
            "issuances": counts.issuances,
            "certificates": counts.certificates,
            "steps": counts.steps,
            "station": hashlib.sha256(sealed.public_key).hexdigest(),
        },
        as_json=as_json,
    )


def _row(history: History) -> dict[str, str]:
    return {
        "device": history.device,
        "step": history.events[-1].step,
        "model": history.model,
        "authority": history.authority,
        "serial": history.serial,
        "not_after": history.not_after.isoformat(),
        "fingerprint": history.fingerprint or "",
        "uploaded": ", ".join(history.uploaded),
    }


def _steps(history: History) -> list[dict[str, Any]]:
    return [
        {"serial": history.serial, "step": event.step, "at": event.at.isoformat(), "note": event.note}
        for event in history.events
    ]
