"""`python -m provisioning verify`: prove that a new identity connects, before its board leaves the station."""

import time
from pathlib import Path
from typing import Annotated

import typer

from provisioning.commands.options import AsJson, Factory, Stack, now
from provisioning.commands.telling import FAILED, RowTeller, errors_told, tell_rows
from provisioning.errors import RefusedError
from provisioning.ledger.ledger import Ledger
from provisioning.ledger.proofs import unproven
from provisioning.ledger.records import Identity
from provisioning.ledger.rows import identity_of, latest_of
from provisioning.line_check.outcome import LineCheckError, Question
from provisioning.line_check.papers import Papers
from provisioning.line_check.way import Address
from provisioning.order import checked_device


def verify(
    *,
    stack: Stack,
    factory: Factory,
    device: Annotated[str | None, typer.Option(help="The device id.")] = None,
    bundle: Annotated[Path | None, typer.Option(help="The device's own folder, as `issue --out` wrote it.")] = None,
    key: Annotated[Path | None, typer.Option(help="Its key, where it is not in the bundle.")] = None,
    resolver: Annotated[str | None, typer.Option(help="Ask this DNS server, HOST:PORT; default the machine's.")] = None,
    proxy: Annotated[str | None, typer.Option(help="Go through this HTTP CONNECT proxy, HOST:PORT.")] = None,
    pending: Annotated[
        bool, typer.Option("--pending", help="List who was never seen to connect, and check nobody.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Connect as the device: it may do what is its own, and nothing else. Exits 1 when it does not, or cannot yet."""
    with errors_told():
        if pending:
            _tell_pending(stack, factory, as_json=as_json)
            return
        if device is None or bundle is None:
            raise RefusedError("give --device ID and --bundle FOLDER, or --pending")
        name = checked_device(device)
        papers = Papers.read(bundle, name, key=key)
        ways = Address.parse("--resolver", resolver), Address.parse("--proxy", proxy)
        with Ledger.open(factory, stack) as ledger:
            latest = latest_of(ledger.connection, name)
            identity = None if latest is None else identity_of(ledger.connection, latest.number)
            server = _check(papers, identity, ways, as_json=as_json)
            if identity is not None:
                ledger.prove(identity, server, at=now())


def _check(
    papers: Papers, identity: Identity | None, ways: tuple[Address | None, Address | None], *, as_json: bool
) -> str:
    """Every answer as it comes; the server that was asked. Exits 1 at the first no."""
    from provisioning.line_check.line_check import LineCheck  # noqa: PLC0415  # MQTT loads slowly, and `issue` has none

    check = LineCheck(
        papers=papers,
        issued=None if identity is None or identity.is_revoked else identity.fingerprint,
        resolver=ways[0],
        proxy=ways[1],
        clock=now,
        monotonic=time.monotonic,
        sleep=time.sleep,
    )
    server = ""
    with RowTeller("answers", as_json=as_json, summed_up_by=("answer",)) as teller:
        try:
            for answer in check.run():
                if answer.question is Question.NAME:
                    server = answer.detail
                seconds = f"{answer.seconds:.2f}"
                teller.tell({"question": answer.question, "answer": "yes", "detail": answer.detail, "seconds": seconds})
        except LineCheckError as error:
            teller.tell({"question": error.question, "answer": "no", "detail": error.why, "seconds": ""})
            failed = error
        else:
            return server
    proven = "not proven yet; it stays on `verify --pending`" if failed.is_offline else "not proven; do not ship it"
    typer.echo(f"provisioning: device {papers.device}: {failed}. Who acts: {failed.acts}. {proven}", err=True)
    raise typer.Exit(FAILED)


def _tell_pending(stack: str, factory: Path, *, as_json: bool) -> None:
    with Ledger.open(factory, stack) as ledger:
        rows = [
            {"device": each.device, "model": each.model, "authority": each.authority, "fingerprint": each.fingerprint}
            for each in unproven(ledger)
        ]
    tell_rows("pending", rows, as_json=as_json)
