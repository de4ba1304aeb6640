"""`python -m provisioning revocation`: take many identities back; a plan first, then exactly that plan."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from provisioning.cloud import Cloud
from provisioning.commands.clusters import tell_clusters
from provisioning.commands.existing_ledger import existing_ledger
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
from provisioning.commands.revocation_telling import Place, following, tell_plan
from provisioning.commands.telling import errors_told, tell
from provisioning.crl.note import with_since
from provisioning.crl.withdrawn import Withdrawn, withdraw
from provisioning.ending.carry_out import end
from provisioning.ending.closing import check_same_clusters, close, registrations
from provisioning.ending.plan_file import MANY, PLAN_VERSION, Header, Row, read_plan, write_plan
from provisioning.ending.selection import Standing, of_list, of_signer
from provisioning.ending.signer import Why, withdrawal_of
from provisioning.ending.unreported import Looked, look
from provisioning.errors import RefusedError
from provisioning.ledger.ledger import Ledger
from provisioning.ledger.records import Reason, Step
from provisioning.read_factory import factory_of
from provisioning.signed_entry import station_voucher
from provisioning.sync import plan_sync
from stacks.load import AUTHORITIES

commands = typer.Typer(help="Take many identities back: plan, look, apply.", no_args_is_help=True)

_NOT_TOLD = {
    False: "not told; the next sync tells them",
    True: "not told: of devices the next sync tells them, of the authority itself a plan made with --outputs",
}
"""By whether an authority is taken back."""
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
    unreported: Annotated[
        bool,
        typer.Option("--unreported", help="With --authority and --outputs: what clusters list and no ledger here has."),
    ] = False,
    since: Annotated[
        str | None, typer.Option(help="Since when the key is not to be trusted, such as 2026-11-20T08:00:00Z.")
    ] = None,
    note: Annotated[str, typer.Option(help="In your own words, for who reads the ledger later.")] = "",
    authorities: Authorities = None,
    profiles: Profiles = None,
    outputs: OutputsFile = None,
    as_json: AsJson = False,
) -> None:
    """Write a plan: who would be taken back, and why. Nothing is changed."""
    with errors_told():
        if (file is None) == (authority is None):
            raise RefusedError(_ONE_OF)
        if file is not None and (devices or unreported or issued_since is not None or outputs is not None):
            raise RefusedError(
                "--devices, --issued-since, --unreported and --outputs go with --authority; a FILE names its devices"
            )
        if unreported and outputs is None:
            raise RefusedError("--unreported: only the clusters know; give --outputs too")
        untrusted_since = moment("--since", since)
        from_moment = moment("--issued-since", issued_since)
        shown: Sequence[Standing] = ()
        looked = Looked((), 0)
        clusters: dict[str, str] = {}
        signer: Withdrawn | None = None
        if file is not None:
            with Ledger.open(factory, stack) as ledger:
                found, ended = of_list(ledger, file)
            shown = found
            words = f"{len(found)} devices of {file.name}, {len(ended)} had ended"
        else:
            name = str(authority)
            why = Why(reason=reason, since=untrusted_since, note=note)
            profile, _ = factory_of(stack, profiles)
            signer = withdrawal_of(name, why, profile, authorities or AUTHORITIES / stack, now=now())
            with existing_ledger(factory, stack) as kept:
                shown = [] if kept is None else list(of_signer(kept, name, since=from_moment))
                if outputs is not None:
                    known = outputs_of(stack, outputs)
                    clusters = registrations(name, known)
                    looked = look(kept, name, known, Cloud.from_environment())
            found = list(shown) if devices or from_moment is not None else []
            words = f"{name} itself, and {len(found)} of the {len(shown)} devices it signed that stand"
            if outputs is not None:
                words += f"; {len(looked.unreported)} more stand in clusters and in no ledger here"
        taken = looked.unreported if unreported or devices else ()
        header = Header(
            version=PLAN_VERSION,
            environment=stack,
            made_at=now(),
            selection=words,
            reason=reason,
            note=with_since(note, untrusted_since),
            count=len(found),
            signer=signer,
            clusters=clusters,
            unreported=len(taken),
        )
        write_plan(out, header, found, taken)
    tell_plan(header, shown, looked, Place(out, stack, factory), as_json=as_json)


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
        planned = read_plan(file)
        header = planned.header
        _check(header, file, stack, yes_really)
        known = None if outputs is None else outputs_of(stack, outputs)
        if known is None and header.clusters:
            raise RefusedError(f"{file}: closes {header.signer and header.signer.name} in the clusters; give --outputs")
        if known is not None:
            check_same_clusters(header.clusters, known)
        with Ledger.open(factory, stack, create=header.signer is not None) as ledger:
            withdrawn = _withdraw(header, factory)
            results = _end(header, planned.rows, ledger)
            told = {
                **({} if withdrawn is None else {"signer": withdrawn}),
                **{str(outcome): count for outcome, count in sorted(results.items())},
                "clusters": _NOT_TOLD[header.signer is not None] if known is None else "told below",
                **following(header, stack, factory),
            }
            if known is None:
                tell(told, as_json=as_json)
                return
            if not as_json:
                tell(told, as_json=False)
            voucher = station_voucher(factory)
            tell_clusters(
                ledger,
                plan_sync(ledger, known.clusters),
                voucher,
                as_json=as_json,
                first=lambda cloud: close(header.clusters, planned.unreported, known, cloud, voucher),
            )


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
    if header.total > MANY and yes_really != header.total:
        raise RefusedError(
            f"{file}: takes {header.total} identities back, more than {MANY}; look at it, then add "
            f"--yes-really {header.total}"
        )
    if header.total <= MANY and yes_really not in (None, header.total):
        raise RefusedError(f"--yes-really: the plan takes {header.total} back, not {yes_really}; look at it again")
