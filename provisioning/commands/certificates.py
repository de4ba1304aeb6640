"""`python -m provisioning certificates`: judge certificates that come with boards, before they are taken in."""

from pathlib import Path
from typing import Annotated

import typer
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509.oid import NameOID

from protocol.device_id import InvalidDeviceIdError, parse_device_id
from protocol.hostnames import device_hostname
from provisioning.alternative_name import NameKind
from provisioning.authority import read_certificate
from provisioning.certificate_check import Expected, objections
from provisioning.commands.options import AsJson, Authorities, Profiles, Stack, now
from provisioning.commands.telling import REFUSED, errors_told, tell_rows
from provisioning.errors import RefusedError, StationError
from provisioning.factory_file import FactoryFile
from provisioning.read_factory import factory_of
from provisioning.refused_keys import RefusedKeys, read_refused_keys, spki_of
from stacks.load import AUTHORITIES

commands = typer.Typer(help="Certificates that somebody else made for us.", no_args_is_help=True)


@commands.callback()
def certificates() -> None:
    """Keeps `check` a word of its own while it is the only command."""


@commands.command()
def check(
    files: Annotated[list[Path], typer.Argument(help="Certificates in PEM, one a file.")],
    *,
    stack: Stack,
    model: Annotated[str, typer.Option(help="The hardware model they are for.")],
    authority: Annotated[str, typer.Option(help="The authority or station that should have signed them.")],
    authorities: Authorities = None,
    profiles: Profiles = None,
    as_json: AsJson = False,
) -> None:
    """Tell everything that is wrong with each certificate, by the rules of what we make ourselves; changes nothing."""
    with errors_told():
        plan, environment = factory_of(stack, profiles)
        refused_keys = read_refused_keys(plan, profiles)
        issuer = _issuer(authority, authorities or AUTHORITIES / stack)
        rows = [
            {"file": str(file), "result": reason}
            for file in files
            for reason in _judged(file, issuer, plan, refused_keys, model=model, domain=environment.domain) or ["good"]
        ]
    tell_rows("certificates", rows, as_json=as_json)
    if any(row["result"] != "good" for row in rows):
        raise typer.Exit(REFUSED)


def _issuer(name: str, folder: Path) -> x509.Certificate:
    found = read_certificate(folder / f"{name}.pem")
    if found is None:
        raise RefusedError(f"--authority: {folder / name}.pem is not there; give the folder it is in as --authorities")
    return found


def _judged(
    file: Path,
    issuer: x509.Certificate,
    plan: FactoryFile,
    refused_keys: RefusedKeys,
    *,
    model: str,
    domain: str,
) -> list[str]:
    profile = plan.models.get(model)
    if profile is None:
        raise RefusedError(f"--model: factory {plan.environment} makes no model {model!r}")
    try:
        certificate = read_certificate(file)
    except StationError as error:
        return [str(error)]
    if certificate is None:
        raise RefusedError(f"{file}: is not there; give certificates in PEM")
    names = [str(each.value) for each in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    try:
        device = parse_device_id(names[0] if names else "")
    except InvalidDeviceIdError as error:
        return [f"its subject's common name: {error}"]
    host_name = device_hostname(device, domain) if profile.alternative_name is NameKind.HOST_NAME else None
    expected = Expected(name=device, key_type=profile.key_type, host_name=host_name)
    refusal = _listed(certificate, refused_keys)
    return [*objections(certificate, issuer, expected, now=now()), *([] if refusal is None else [refusal])]


def _listed(certificate: x509.Certificate, refused_keys: RefusedKeys) -> str | None:
    """That its key stands in a list; of a key that cannot be read `objections` tells."""
    try:
        return refused_keys.refusal(spki_of(certificate))
    except (ValueError, UnsupportedAlgorithm):
        return None
