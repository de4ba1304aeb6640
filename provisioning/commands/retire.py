"""`python -m provisioning retire`: devices leave service in good order, and may come back with a new key."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from provisioning.commands.clusters import tell_clusters
from provisioning.commands.options import AsJson, Factory, OutputsFile, Stack, now, outputs_of
from provisioning.commands.progress import counted
from provisioning.commands.telling import MOST_ROWS, errors_told, tell, tell_rows
from provisioning.ending.carry_out import end
from provisioning.ending.plan_file import MANY, Row
from provisioning.ending.plan_file import as_json as rows_of
from provisioning.ending.selection import Standing, of_device, of_list
from provisioning.errors import RefusedError
from provisioning.ledger.ledger import Ledger
from provisioning.ledger.records import Reason, Step
from provisioning.order import checked_device
from provisioning.signed_entry import station_voucher
from provisioning.sync import plan_sync


def retire(
    file: Annotated[Path | None, typer.Argument(help="CSV with the column device.")] = None,
    *,
    stack: Stack,
    factory: Factory,
    note: Annotated[str, typer.Option(help="Why, in your own words: scrapped, sold, repaired with a new board.")],
    device: Annotated[str | None, typer.Option(help="One device.")] = None,
    reason: Annotated[
        Reason, typer.Option(help="As revocation lists say it (RFC 5280).")
    ] = Reason.CESSATION_OF_OPERATION,
    yes_really: Annotated[int | None, typer.Option(help=f"Exactly how many, where it is more than {MANY}.")] = None,
    outputs: OutputsFile = None,
    apply: Annotated[bool, typer.Option("--apply", help="Do it; otherwise this only says what would be done.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say which identities would end; with --apply, end them. Then the device may have a new one, with a new key."""
    with errors_told():
        if (file is None) == (device is None):
            raise RefusedError("give either FILE, or --device ID")
        if not note.strip():
            raise RefusedError("--note: say why in your own words; the auditor in year six reads nothing else")
        clusters = None if outputs is None else outputs_of(stack, outputs).clusters
        with Ledger.open(factory, stack) as ledger:
            found, had_ended = _found(ledger, file, device)
            if not apply:
                _tell_plan(found, had_ended, as_json=as_json)
                return
            if len(found) > MANY and yes_really != len(found):
                raise RefusedError(f"that is {len(found)} devices, more than {MANY}; add --yes-really {len(found)}")
            rows = [Row(issuance=each.issuance, device=each.device, fingerprint=each.fingerprint) for each in found]
            results: Counter[str] = Counter({"ended before": had_ended} if had_ended else {})
            with counted("retiring devices", len(rows)) as advance:
                for done in end(rows, ledger, Step.RETIRED, reason, note, clock=now):
                    results[done.outcome.value] += 1
                    advance(1)
            told = "not told; the next sync tells them" if clusters is None else "told below"
            if clusters is None or not as_json:
                tell({**dict(sorted(results.items())), "clusters": told}, as_json=as_json)
            if clusters is not None:
                tell_clusters(ledger, plan_sync(ledger, clusters), station_voucher(factory), as_json=as_json)


def _found(ledger: Ledger, file: Path | None, device: str | None) -> tuple[list[Standing], int]:
    if file is not None:
        found, ended = of_list(ledger, file)
        return found, len(ended)
    standing = of_device(ledger, checked_device(str(device)))
    return ([], 1) if standing is None else ([standing], 0)


def _tell_plan(found: list[Standing], had_ended: int, *, as_json: bool) -> None:
    columns = ("device", "model", "authority", "issued_at", "fingerprint")
    if as_json:
        tell({"would_end": rows_of(found), "had_ended": had_ended}, as_json=True)
        return
    tell_rows("devices", rows_of(found[:MOST_ROWS]), as_json=False, columns=columns)
    if len(found) > MOST_ROWS:
        typer.echo(f"and {len(found) - MOST_ROWS} more")
    more = f" --yes-really {len(found)}" if len(found) > MANY else ""
    typer.echo(f"nothing was changed; {len(found)} would end, {had_ended} had: run this again with --apply{more}")
