"""`python -m provisioning revocation`: take many identities back; a plan first, then exactly that plan."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from cryptography import x509

from provisioning.authority import read_certificate
from provisioning.commands.clusters import tell_clusters
from provisioning.commands.crl import ROOT
from provisioning.commands.options import (
    AsJson,
    Authorities,
    Factory,
    OutputsFile,
    Profiles,
    Stack,
    moment,
    now,
    outputs_of,
)
from provisioning.commands.progress import counted
from provisioning.commands.telling import MOST_ROWS, errors_told, tell, tell_rows
from provisioning.crl.note import with_since
from provisioning.crl.withdrawn import Withdrawn, withdraw
from provisioning.ending.carry_out import end
from provisioning.ending.plan_file import MANY, PLAN_VERSION, Header, Row, read_plan, write_plan
from provisioning.ending.plan_file import as_json as rows_of
from provisioning.ending.selection import Standing, of_list, of_signer
from provisioning.errors import RefusedError
from provisioning.factory_file import FactoryFile
from provisioning.ledger.ledger import Ledger
from provisioning.ledger.records import Reason, Step
from provisioning.read_factory import factory_of
from provisioning.signed_entry import station_voucher
from provisioning.sync import plan_sync
from stacks.load import AUTHORITIES

commands = typer.Typer(help="Take many identities back: plan, look, apply.", no_args_is_help=True)

_ONE_OF = "give either FILE, or --authority NAME"


@commands.command()
def plan(
    file: Annotated[Path | None, typer.Argument(help="CSV with the column device.")] = None,
    *,
    stack: Stack,
    factory: Factory,
    reason: Annotated[Reason, typer.Option(help="Why, as revocation lists say it (RFC 5280).")],
    out: Annotated[Path, typer.Option(help="Where the plan goes.")],
    authority: Annotated[
        str | None, typer.Option(help="An authority or a station: its own certificate is taken back, too.")
    ] = None,
    devices: Annotated[
        bool, typer.Option("--devices", help="With --authority: all that it signed, too, not only itself.")
    ] = False,
    issued_since: Annotated[
        str | None, typer.Option(help="With --authority: of what it signed, only from this moment on.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Since when the key is not to be trusted, such as 2026-11-20T08:00:00Z.")
    ] = None,
    note: Annotated[str, typer.Option(help="In your own words, for who reads the ledger later.")] = "",
    authorities: Authorities = None,
    profiles: Profiles = None,
    as_json: AsJson = False,
) -> None:
    """Write a plan: who would be taken back, and why. Nothing is changed."""
    with errors_told():
        if (file is None) == (authority is None):
            raise RefusedError(_ONE_OF)
        if file is not None and (devices or issued_since is not None):
            raise RefusedError("--devices and --issued-since go with --authority; a FILE names its devices")
        untrusted_since = moment("--since", since)
        signed: list[Standing] = []
        signer: Withdrawn | None = None
        with Ledger.open(factory, stack) as ledger:
            if file is not None:
                found, ended = of_list(ledger, file)
                words = f"{len(found)} devices of {file.name}, {len(ended)} had ended"
            else:
                name = str(authority)
                asked = Asked(stack=stack, reason=reason, since=untrusted_since, note=note)
                signer = _signer(name, asked, factory_of(stack, profiles)[0], authorities or AUTHORITIES / stack)
                from_moment = moment("--issued-since", issued_since)
                signed = list(of_signer(ledger, name, since=from_moment))
                found = signed if devices or from_moment is not None else []
                words = f"{name} itself, and {len(found)} of the {len(signed)} devices it signed that stand"
        header = Header(
            version=PLAN_VERSION,
            environment=stack,
            made_at=now(),
            selection=words,
            reason=reason,
            note=with_since(note, untrusted_since),
            count=len(found),
            signer=signer,
        )
        write_plan(out, header, found)
    _tell(header, found or signed, out, stack, factory, as_json=as_json)


@commands.command()
def apply(
    file: Annotated[Path, typer.Argument(help="The plan.")],
    *,
    stack: Stack,
    factory: Factory,
    yes_really: Annotated[
        int | None, typer.Option(help=f"Exactly how many are taken back, where it is more than {MANY}.")
    ] = None,
    outputs: OutputsFile = None,
    as_json: AsJson = False,
) -> None:
    """Carry a plan out: the ledger first, then every cluster. Cut off, the same command goes on."""
    with errors_told():
        header, rows = read_plan(file)
        _check(header, file, stack, yes_really)
        clusters = None if outputs is None else outputs_of(stack, outputs).clusters
        with Ledger.open(factory, stack) as ledger:
            withdrawn = _withdraw(header, factory)
            results = _end(header, rows, ledger)
            told = {
                **({} if withdrawn is None else {"signer": withdrawn}),
                **{str(outcome): count for outcome, count in sorted(results.items())},
                "clusters": "not told; the next sync tells them" if clusters is None else "told below",
                "next": _following(header, stack, factory),
            }
            if clusters is None:
                tell(told, as_json=as_json)
                return
            if not as_json:
                tell(told, as_json=False)
            tell_clusters(ledger, plan_sync(ledger, clusters), station_voucher(factory), as_json=as_json)


def _end(header: Header, rows: Sequence[Row], ledger: Ledger) -> Counter[str]:
    results: Counter[str] = Counter()
    with counted("taking identities back", len(rows)) as advance:
        for done in end(rows, ledger, Step.REVOKED, header.reason, header.note, clock=now):
            results[done.outcome.value] += 1
            advance(1)
    return results


def _withdraw(header: Header, factory: Path) -> str | None:
    if header.signer is None:
        return None
    is_new = withdraw(factory, header.signer.model_copy(update={"at": now()}))
    return f"{header.signer.name} {'taken back' if is_new else 'was taken back before'}"


def _check(header: Header, file: Path, stack: str, yes_really: int | None) -> None:
    if header.environment != stack:
        raise RefusedError(f"{file}: is a plan for {header.environment}, not for {stack}; make one for {stack}")
    if header.count > MANY and yes_really != header.count:
        raise RefusedError(
            f"{file}: takes {header.count} identities back, more than {MANY}; look at it, then add "
            f"--yes-really {header.count}"
        )
    if header.count <= MANY and yes_really not in (None, header.count):
        raise RefusedError(f"--yes-really: the plan takes {header.count} back, not {yes_really}; look at it again")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What holds for all that is taken back."""

    stack: str
    reason: Reason
    since: datetime | None
    note: str


def _signer(name: str, asked: Asked, plan: FactoryFile, folder: Path) -> Withdrawn:
    known = (*plan.authorities, *plan.stations)
    if name not in known:
        raise RefusedError(
            f"--authority: factory {asked.stack} has no authority or station {name!r}; it has {', '.join(known)}"
        )
    certificate = _certificate(folder / f"{name}.pem")
    return Withdrawn(
        name=name,
        issuer=plan.issuer_of(name),
        serial=f"{certificate.serial_number:x}",
        at=now(),
        not_after=certificate.not_valid_after_utc,
        reason=asked.reason,
        since=asked.since,
        note=asked.note,
    )


def _certificate(path: Path) -> x509.Certificate:
    certificate = read_certificate(path)
    if certificate is None:
        raise RefusedError(f"{path}: is not there, so nobody knows its serial number; give --authorities")
    return certificate


def _following(header: Header, stack: str, factory: Path) -> str:
    if header.signer is None:
        return f"a new list of each authority: python -m provisioning crl --stack {stack} --authority NAME"
    name, issuer = header.signer.name, header.signer.issuer
    who = "the root" if issuer == ROOT else issuer
    return (
        f"remove stacks/authorities/{stack}/{name}.pem and deploy, so that no cluster knows {name}; then a new "
        f"list of {who}: python -m provisioning crl --stack {stack} --authority {issuer} --factory {factory} --apply"
    )


def _tell(header: Header, shown: Sequence[Standing], out: Path, stack: str, factory: Path, *, as_json: bool) -> None:
    following = f"python -m provisioning revocation apply {out} --stack {stack} --factory {factory}"
    if header.count > MANY:
        following += f" --yes-really {header.count}"
    facts = {
        "plan": str(out),
        "selection": header.selection,
        "reason": header.reason.value,
        "identities": header.count,
        "signer": "" if header.signer is None else header.signer.name,
        "next": following,
    }
    if as_json:
        tell({**facts, "devices": rows_of(shown)}, as_json=True)
        return
    columns = ("device", "model", "authority", "issued_at", "fingerprint")
    tell_rows(
        "signed by it" if header.signer else "devices", rows_of(shown[:MOST_ROWS]), as_json=False, columns=columns
    )
    if len(shown) > MOST_ROWS:
        typer.echo(f"and {len(shown) - MOST_ROWS} more")
    tell(facts, as_json=False)
