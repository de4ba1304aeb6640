"""What people see of a plan to take back: whom it ends, and who does what after it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from provisioning.commands.crl import ROOT
from provisioning.commands.telling import MOST_ROWS, tell, tell_rows
from provisioning.ending.plan_file import MANY, Header
from provisioning.ending.plan_file import as_json as rows_of
from provisioning.ending.selection import Standing
from provisioning.ending.unreported import Looked


@dataclass(frozen=True)
class Place:
    """Where a plan was made."""

    plan: Path
    stack: str
    factory: Path


def following(header: Header, stack: str, factory: Path) -> dict[str, str]:
    """What is left to do once a plan is carried out, in this order."""
    if header.signer is None:
        return {
            "next": f"a new list of each authority: python -m provisioning crl --stack {stack} --authority NAME "
            f"--factory {factory} --apply"
        }
    name, issuer = header.signer.name, header.signer.issuer
    who = "the root" if issuer == ROOT else issuer
    return {
        "next": f"a new list of {who}, for brokers that read lists: python -m provisioning crl --stack {stack} "
        f"--authority {issuer} --factory {factory} --apply",
        "then": f"remove stacks/authorities/{stack}/{name}.pem and deploy, so that no cluster knows {name}",
        "and": f"give what stays a new identity: python -m provisioning rotate --stack {stack} --factory {factory} "
        f"--authority {name} --to NEW --out waves.csv",
    }


def tell_plan(header: Header, shown: Sequence[Standing], looked: Looked, place: Place, *, as_json: bool) -> None:
    """The plan, and what of it is shown for people to look at."""
    apply = f"python -m provisioning revocation apply {place.plan} --stack {place.stack} --factory {place.factory}"
    if header.clusters:
        apply += " --outputs FILE"
    if header.total > MANY:
        apply += f" --yes-really {header.total}"
    facts = {
        "plan": str(place.plan),
        "selection": header.selection,
        "reason": header.reason.value,
        "identities": header.total,
        "signer": "" if header.signer is None else header.signer.name,
        **_of_signer(header, looked),
        "next": apply,
    }
    unreported = [
        {"device": each.entry.device, "clusters": " ".join(each.clusters), "fingerprint": each.entry.fingerprint}
        for each in looked.unreported
    ]
    if as_json:
        tell({**facts, "devices": rows_of(shown), "unreported_devices": unreported}, as_json=True)
        return
    columns = ("device", "model", "authority", "issued_at", "fingerprint")
    _first("signed by it" if header.signer else "devices", rows_of(shown[: MOST_ROWS + 1]), len(shown), columns)
    if header.clusters:
        _first("in no ledger here", unreported, len(unreported), ("device", "clusters", "fingerprint"))
    tell(facts, as_json=False)


def _of_signer(header: Header, looked: Looked) -> dict[str, str]:
    """What a plan says of the authority itself, each fact by who does it."""
    if header.signer is None:
        return {}
    closed = [name for name, certificate in header.clusters.items() if certificate]
    in_no_ledger = f"{len(looked.unreported)} in clusters, {header.unreported} of them taken back"
    unreadable = f"; {looked.unreadable} are no entries, `reconcile` names them" if looked.unreadable else ""
    return {
        "list": f"the next one of {header.signer.issuer} names serial number {header.signer.serial}",
        "deactivated_in": " ".join(closed) or ("no cluster knows it" if header.clusters else "give --outputs"),
        "in_no_ledger": in_no_ledger + unreadable if header.clusters else "give --outputs",
    }


def _first(name: str, rows: Sequence[Mapping[str, str]], count: int, columns: Sequence[str]) -> None:
    tell_rows(name, rows[:MOST_ROWS], as_json=False, columns=columns)
    if count > MOST_ROWS:
        typer.echo(f"and {count - MOST_ROWS} more")
