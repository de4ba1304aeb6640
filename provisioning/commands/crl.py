"""`python -m provisioning crl`: the next revocation list of an authority."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from provisioning.authority import IssuingAuthority, read_certificate
from provisioning.ceremony import ROOT_CERTIFICATE_FILE, ROOT_KEY_FILE
from provisioning.commands.asking import typed
from provisioning.commands.authorities import open_authority
from provisioning.commands.existing_ledger import existing_ledger
from provisioning.commands.options import AsJson, Authorities, Factory, OutputsFile, Stack, now
from provisioning.commands.telling import errors_told, tell
from provisioning.crl.issue_list import DELTA_LIFETIME, FULL_LIFETIME, Planned, Wanted, issue_list, listed, plan_list
from provisioning.crl.shelf import CRL_FOLDER, Shelf
from provisioning.errors import RefusedError
from provisioning.file_signer import FileSigner
from provisioning.key_file import read_authority_key
from provisioning.passphrase import given_passphrase, read_kept_passphrase
from stacks.load import AUTHORITIES, find_ca_certificates, load_environment
from stacks.rules.identity import DESK

ROOT = "root"
"""The authority that signs authorities, and whose list names those that are withdrawn."""
MAX_DAYS = 366
"""A list that is valid longer would be read long after it is wrong."""


def crl(
    *,
    stack: Stack,
    authority: Annotated[str, typer.Option(help="Whose list: an authority or a station of the stack, or root.")],
    factory: Factory,
    delta: Annotated[bool, typer.Option("--delta", help="Only what is new since the last full list.")] = False,
    valid_days: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MAX_DAYS,
            help=f"Until the next one is due; {FULL_LIFETIME.days} for a full list, {DELTA_LIFETIME.days} for a delta.",
        ),
    ] = None,
    delta_url: Annotated[str | None, typer.Option(help="Stated in a full list: where its deltas are.")] = None,
    out: Annotated[Path | None, typer.Option(help="Where lists are published; default <factory>/crl.")] = None,
    authorities: Authorities = None,
    outputs: OutputsFile = None,
    apply: Annotated[bool, typer.Option("--apply", help="Do it; otherwise this only says what would be done.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say what the next list would name; with --apply, number, sign and publish it."""
    with errors_told():
        if delta and delta_url is not None:
            raise RefusedError("--delta-url: stands in full lists alone; leave it out")
        if delta_url is not None:
            _check_url(delta_url)
        days = timedelta(days=valid_days) if valid_days else DELTA_LIFETIME if delta else FULL_LIFETIME
        wanted = Wanted(authority=authority, is_delta=delta, lifetime=days, delta_url=delta_url, now=now())
        _check_known(stack, authority)
        published = out or factory / CRL_FOLDER
        with existing_ledger(factory, stack) as ledger:
            if not apply:
                planned = plan_list(wanted, Shelf.seen(factory, authority), ledger, published)
                count = sum(1 for _ in listed(planned, ledger, factory))
                _tell(planned, count, published, result="would be signed", as_json=as_json)
                return
            signer = _signer(stack, authority, factory, authorities or AUTHORITIES / stack, outputs)
            with Shelf.held(factory, authority) as shelf:
                planned = plan_list(wanted, shelf, ledger, published)
                path, count = issue_list(planned, shelf, ledger, factory, signer=signer, out=published)
        _tell(planned, count, path, result="signed", as_json=as_json)


def _check_url(text: str) -> None:
    """Refuse what no reader of the list could fetch (RFC 5280, section 5.2.6 and 4.2.1.13)."""
    try:
        url = urlsplit(text)
        is_whole = url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:
        is_whole = False
    if not is_whole or not text.isascii() or not text.isprintable() or " " in text:
        raise RefusedError(
            f"--delta-url: {text!r} is no address in ASCII; write one such as http://crl.example.com/line-a.delta.crl"
        )


def _check_known(stack: str, authority: str) -> None:
    known = [*load_environment(stack, today=None).issuing, ROOT]
    if authority not in known:
        raise RefusedError(f"--authority: stack {stack} has no authority {authority!r}; it has {', '.join(known)}")


def _signer(stack: str, authority: str, factory: Path, folder: Path, outputs: Path | None) -> IssuingAuthority:
    if authority == ROOT:
        return _root(stack, factory)
    environment = load_environment(stack, today=None)
    certificates = find_ca_certificates(environment, folder, today=now().date())
    return open_authority(environment, authority, factory, certificates, outputs)


def _root(stack: str, factory: Path) -> IssuingAuthority:
    certificate = read_certificate(factory / ROOT_CERTIFICATE_FILE)
    if certificate is None:
        raise RefusedError(f"{factory / ROOT_CERTIFICATE_FILE}: is not here; give the folder of the ceremony")
    passphrase = (
        read_kept_passphrase(factory)
        if stack == DESK
        else given_passphrase(lambda: typed("Passphrase of the root's key"))()
    )
    signer = FileSigner(read_authority_key(factory / ROOT_KEY_FILE, passphrase))
    return IssuingAuthority.ready(name=ROOT, certificate=certificate, signer=signer, root=None, now=now())


def _tell(planned: Planned, count: int, place: Path, *, result: str, as_json: bool) -> None:
    numbered = planned.numbered
    tell(
        {
            "authority": planned.authority,
            "list": "full" if numbered.base is None else f"delta to {numbered.base}",
            "number": numbered.number,
            "certificates": count,
            "valid_from": numbered.this_update.isoformat(),
            "next_due": numbered.next_update.isoformat(),
            "published": str(place),
            "result": result,
        },
        as_json=as_json,
    )
    if not as_json and result != "signed":
        typer.echo("nothing was signed; run this again with --apply")
