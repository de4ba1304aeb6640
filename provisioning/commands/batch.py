"""`python -m provisioning batch`: identities for every row of a file."""

import os
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from provisioning.bulk.batch import Batch, check_batch, finish, issue_batch
from provisioning.bulk.folder import FAILED, Folder
from provisioning.bulk.problems import SHOWN, Problems
from provisioning.bulk.rows import Defaults
from provisioning.bulk.table import scan
from provisioning.commands.asking import ask_for, typed
from provisioning.commands.options import AsJson, Factory, OutputsFile, Profiles, Stack, now, outputs_of
from provisioning.commands.progress import counted
from provisioning.commands.telling import REFUSED, errors_told, tell, tell_error
from provisioning.errors import RefusedError, StationError, about
from provisioning.passphrase import KEYS_PASSPHRASE_VARIABLE, given_passphrase
from provisioning.station import Station
from provisioning.station_key import station_signer


@dataclass(frozen=True)
class _Opener:
    """How this process, and every other, opens the station."""

    stack: str
    factory: Path
    authorities: Path | None
    trust_anchors: Path | None
    profiles: Path | None
    outputs: Path | None
    answers: dict[str, str] = field(default_factory=dict, repr=False)
    """What a person was asked for once, by the question."""

    def __call__(self) -> Station:
        return Station.open(
            stack=self.stack,
            factory=self.factory,
            authorities=self.authorities,
            trust_anchors=self.trust_anchors,
            profiles=self.profiles,
            outputs=None if self.outputs is None else outputs_of(self.stack, self.outputs),
            outputs_path=self.outputs,
            clock=now,
            ask=self.ask,
        )

    def ask(self, question: str) -> str:
        """The answer, from the person the first time."""
        if question not in self.answers:
            self.answers[question] = typed(question)
        return self.answers[question]


def batch(
    *,
    file: Annotated[Path, typer.Argument(help="CSV with a header: device, model, authority, csr or csr_file.")],
    stack: Stack,
    factory: Factory,
    out: Annotated[Path, typer.Option(help="The batch's own folder: results, failed rows and report.")],
    model: Annotated[str | None, typer.Option(help="For rows that name none.")] = None,
    authority: Annotated[str | None, typer.Option(help="For rows that name none.")] = None,
    bundles: Annotated[
        bool, typer.Option("--bundles", help="A folder a device with its whole bundle, as from `issue`; slower.")
    ] = False,
    encrypt_keys: Annotated[
        bool,
        typer.Option(
            "--encrypt-keys", help=f"Keys made here under a passphrase: {KEYS_PASSPHRASE_VARIABLE}, or asked."
        ),
    ] = False,
    check: Annotated[bool, typer.Option("--check", help="Check the file, and issue nothing.")] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Processes.")] = os.cpu_count() or 1,
    authorities: Annotated[
        Path | None, typer.Option(help="Certificates of the authorities; default stacks/authorities/<stack>.")
    ] = None,
    trust_anchors: Annotated[
        Path | None, typer.Option(help="Roots the devices accept for servers; default Amazon Trust Services.")
    ] = None,
    profiles: Profiles = None,
    outputs: OutputsFile = None,
    as_json: AsJson = False,
) -> None:
    """Check the whole file, then issue every row. Killed anywhere, the same command goes on where it was."""
    with errors_told(), about(file.name, kind="batch"):
        if encrypt_keys and bundles:
            raise RefusedError(
                "--encrypt-keys: a bundle's key is the device's own, which reads it unattended; drop one of the two"
            )
        Folder(out).check_place()
        opener = _Opener(stack, factory, authorities, trust_anchors, profiles, outputs)
        station = opener()
        begun = now()
        table, problems = scan(file)
        wanted = Batch(table=table, defaults=Defaults(model, authority), folder=Folder(out), has_bundles=bundles)
        with counted("checking", table.rows) as progress:
            problems.take(check_batch(wanted, station, opener, jobs=jobs, progress=progress))
        if problems:
            _tell_problems(file, problems)
            raise typer.Exit(REFUSED)
        if check:
            tell({"file": str(file), "rows": table.rows, "sha256": table.digest, "problems": 0}, as_json=as_json)
            return
        if encrypt_keys:
            wanted = replace(wanted, key_passphrase=_passphrase(is_new=not out.exists()))
        report = _run(wanted, station, opener, jobs=jobs, begun=begun)
    tell({**{name: value for name, value in report.items() if name != "files"}, "out": str(out)}, as_json=as_json)
    if report["failed"]:
        said = (
            f"{report['failed']} rows came back, with their reasons, in {out / FAILED}; mend them, and give that file"
        )
        tell_error(RefusedError(said))
        raise typer.Exit(REFUSED)


def _run(wanted: Batch, station: Station, opener: _Opener, *, jobs: int, begun: datetime) -> dict[str, Any]:
    """The report of the batch, issued unless it is already."""
    if wanted.report() is None:
        for name in wanted.signers:
            station.authority(name)  # one that cannot sign is told before anything is made
    with wanted.folder.held(wanted.claim):
        if (report := wanted.report()) is not None:
            wanted.folder.forget_parts()
            return report
        signer = station_signer(station.factory)
        try:
            with counted("issuing", wanted.table.rows) as progress:
                done = issue_batch(wanted, station, opener, jobs=jobs, progress=progress)
        except KeyboardInterrupt as error:
            raise StationError("stopped; what is issued stands, and the same command goes on from there") from error
        return finish(wanted, station, signer, done, begun=begun)


def _passphrase(*, is_new: bool) -> bytes:
    def ask() -> str:
        kept = os.environ.get(KEYS_PASSPHRASE_VARIABLE)
        if kept is not None:
            return kept
        way_out = f"set {KEYS_PASSPHRASE_VARIABLE}"
        return ask_for("Passphrase of the keys of this batch", instead=way_out, is_new=is_new)

    return given_passphrase(ask, whose="the keys'", variable=KEYS_PASSPHRASE_VARIABLE)()


def _tell_problems(file: Path, problems: Problems) -> None:
    for each in problems.first:
        column = f"{each.column}: " if each.column else ""
        tell_error(RefusedError(f"{file}:{each.line}: {column}{each.text}"))
    shown = f"; these are the first {SHOWN} problems" if problems.is_more_than_shown else ""
    tell_error(RefusedError(f"{file}: {problems.rows:,} rows must change first, and nothing was issued{shown}"))
