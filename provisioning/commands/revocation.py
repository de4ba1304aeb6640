"""`python -m provisioning revocation`: take many identities back; a plan first, then exactly that plan."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
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
from provisioning.commands.out_file import check_out
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
from provisioning.ending.unreported import NOBODY, Looked, look
from provisioning.errors import RefusedError
from provisioning.ledger.ledger import Ledger
from provisioning.ledger.records import Reason, Step
from provisioning.read_factory import factory_of
from provisioning.signed_entry import station_voucher
from provisioning.sync import plan_sync
from stacks.load import AUTHORITIES
from stacks.outputs import Outputs

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
        check_out("--out", out)
        if unreported and outputs is None:
            raise RefusedError("--unreported: only the clusters know; give --outputs too")
        untrusted_since = moment("--since", since)
        from_moment = moment("--issued-since", issued_since)
        if file is not None:
            chosen = _of_file(file, stack, factory)
        else:
            why = Why(reason=reason, since=untrusted_since, note=note)
            profile, _ = factory_of(stack, profiles)
            signer = withdrawal_of(str(authority), why, profile, authorities or AUTHORITIES / stack, now=now())
            known = None if outputs is None else outputs_of(stack, outputs)
            chosen = _of_signer(signer, stack, factory, from_moment, known)
            if not devices and from_moment is None:
                chosen = replace(chosen, ends=())
        taken = chosen.looked.unreported if unreported or devices else ()
        header = Header(
            version=PLAN_VERSION,
            environment=stack,
            made_at=now(),
            selection=chosen.in_words,
            reason=reason,
            note=with_since(note, untrusted_since),
            count=len(chosen.ends),
            signer=chosen.signer,
            clusters=chosen.clusters,
            unreported=len(taken),
        )
        write_plan(out, header, chosen.ends, taken)
    tell_plan(header, chosen.shown, chosen.looked, Place(out, stack, factory), as_json=as_json)


@dataclass(frozen=True, kw_only=True)
class _Chosen:
    """Whom a plan is about."""

    shown: Sequence[Standing]
    """What people see: those that end, or all that an authority signed and that stand."""
    ends: Sequence[Standing]
    asked_for: str = ""
    signer: Withdrawn | None = None
    clusters: dict[str, str] = field(default_factory=dict)
    looked: Looked = NOBODY

    @property
    def in_words(self) -> str:
        """What was asked for, for who reads the plan."""
        if self.signer is None:
            return self.asked_for
        words = f"{self.signer.name} itself, and {len(self.ends)} of the {len(self.shown)} devices it signed that stand"
        return (
            words + f"; {len(self.looked.unreported)} more in clusters and no ledger here" if self.clusters else words
        )


def _of_file(file: Path, stack: str, factory: Path) -> _Chosen:
    with Ledger.open(factory, stack) as ledger:
        found, ended = of_list(ledger, file)
    return _Chosen(shown=found, ends=found, asked_for=f"{len(found)} devices of {file.name}, {len(ended)} had ended")


def _of_signer(
    signer: Withdrawn, stack: str, factory: Path, since: datetime | None, outputs: Outputs | None
) -> _Chosen:
    with existing_ledger(factory, stack) as ledger:
        shown = [] if ledger is None else list(of_signer(ledger, signer.name, since=since))
        looked = NOBODY if outputs is None else look(ledger, signer.name, outputs, Cloud.from_environment())
    clusters = {} if outputs is None else registrations(signer.name, outputs)
    return _Chosen(shown=shown, ends=shown, signer=signer, clusters=clusters, looked=looked)


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
