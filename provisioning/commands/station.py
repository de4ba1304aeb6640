"""`python -m provisioning station`: a station's key, its certificate, its lease, and its loss."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from provisioning.authority import is_issued_by, read_certificate
from provisioning.ceremony import authority_key_path
from provisioning.cloud import Cloud
from provisioning.commands.authorities import open_authority, station_hsm
from provisioning.commands.options import AsJson, Authorities, Factory, OutputsFile, Profiles, Stack, now, outputs_of
from provisioning.commands.out_file import check_out
from provisioning.commands.telling import errors_told, tell, tell_rows
from provisioning.crl.withdrawn import read_withdrawn
from provisioning.durable import write_durably
from provisioning.errors import RefusedError
from provisioning.factory_file import FactoryFile, Lease
from provisioning.factory_file import Station as Profile
from provisioning.file_signer import FileSigner
from provisioning.key_file import make_or_read_authority_key
from provisioning.kms_keys import kms_signer
from provisioning.lease import is_open, lease_period, left_of
from provisioning.ledger.ledger import Ledger
from provisioning.ledger.schema import LEDGER_FILE
from provisioning.open_signer import key_label
from provisioning.passphrase import kept_passphrase
from provisioning.pkcs11_signer import make_or_find_key
from provisioning.read_factory import factory_of
from provisioning.refused_keys import read_refused_keys
from provisioning.serials import serials_of
from provisioning.signer import Signer
from provisioning.stations.certify import Desk, certify_station
from provisioning.stations.request import check_request, make_request, station_name
from provisioning.stations.right import check_not_withdrawn, issued_by, leased_period
from stacks.environment import AuthorityKey
from stacks.load import AUTHORITIES, find_ca_certificates

commands = typer.Typer(help="Stations that sign on their own: set one up, look at it.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The station, as the factory file names it.")]


@commands.command()
def request(
    name: Name,
    *,
    stack: Stack,
    factory: Factory,
    out: Annotated[Path, typer.Option(help="Where the request goes.")],
    profiles: Profiles = None,
    outputs: OutputsFile = None,
    as_json: AsJson = False,
) -> None:
    """At the station: make its key in its HSM, and a request for whoever certifies. A rerun finds the same key."""
    with errors_told():
        check_out("--out", out)
        plan, _ = factory_of(stack, profiles)
        station = _station(plan, name)
        signer = _own_signer(plan, name, factory, outputs)
        write_durably(out, make_request(station_name(station, plan), signer))
        following = f"python -m provisioning station certify {name} --csr {out} --stack {stack} --factory FACTORY"
    tell(
        {"station": name, "request": str(out), "next": f"where {plan.issuer_of(name)} is: {following}"}, as_json=as_json
    )


@commands.command()
def certify(
    name: Name,
    *,
    csr: Annotated[Path, typer.Option(help="The station's request.")],
    stack: Stack,
    factory: Factory,
    out: Annotated[Path | None, typer.Option(help="Where its certificate goes: stacks/authorities/<stack>.")] = None,
    authorities: Authorities = None,
    profiles: Profiles = None,
    outputs: OutputsFile = None,
    as_json: AsJson = False,
) -> None:
    """Where the line's authority is: sign the station's intermediate, as its profile says. A rerun changes nothing."""
    with errors_told():
        plan, environment = factory_of(stack, profiles)
        station = _station(plan, name)
        try:
            pem = csr.read_bytes()
        except OSError as error:
            raise RefusedError(f"--csr: {csr} cannot be read ({error.strerror}); give the station's request") from error
        refused_keys = read_refused_keys(plan, profiles)
        key = check_request(pem, name, station, plan, refused_keys)
        folder = authorities or AUTHORITIES / stack
        issuer = plan.issuer_of(name)
        certificates = find_ca_certificates(environment, folder, today=now().date())
        authority = open_authority(environment, issuer, factory, certificates, outputs)
        check_not_withdrawn(issuer, authority.certificate, factory)
        desk = Desk(
            plan=plan,
            authority=authority,
            factory=factory,
            out=out or folder,
            now=now(),
            new_serial=serials_of(plan.authorities[issuer].serials),
        )
        certified = certify_station(name, station, key, desk)
    tell(
        {
            "station": name,
            "result": "certified" if certified.is_new else "was certified before",
            "serial": f"{certified.certificate.serial_number:x}",
            "not_after": certified.certificate.not_valid_after_utc.isoformat(),
            "lease": f"{station.lease.begins} to {station.lease.ends}",
            "certificate": str(certified.path),
            "next": "commit the certificate and deploy, so that the clusters know the station; copy it to the station",
        },
        as_json=as_json,
    )


@commands.command()
def show(
    *,
    stack: Stack,
    factory: Factory,
    authorities: Authorities = None,
    profiles: Profiles = None,
    as_json: AsJson = False,
) -> None:
    """Every station: its line, its lease, how much of it is used here, and whether it may sign."""
    with errors_told():
        plan, _ = factory_of(stack, profiles)
        folder = authorities or AUTHORITIES / stack
        used = dict.fromkeys(plan.stations, 0)
        if (factory / LEDGER_FILE).exists():
            with Ledger.open(factory, stack) as ledger:
                used = {name: issued_by(ledger, name) for name in plan.stations}
        rows = [_row(plan, name, folder, factory, used[name]) for name in plan.stations]
    tell_rows("stations", rows, as_json=as_json)


def _row(plan: FactoryFile, name: str, folder: Path, factory: Path, used: int) -> dict[str, str]:
    station = plan.stations[name]
    return {
        "station": name,
        "line": station.line,
        "authority": plan.issuer_of(name),
        "lease": f"{station.lease.begins} to {station.lease.ends}",
        "hours": f"{station.lease.from_hour} to {station.lease.to_hour} UTC",
        "used": f"{used} of {station.lease.certificates}",
        "standing": _standing(plan, name, folder, factory, used),
    }


def _standing(plan: FactoryFile, name: str, folder: Path, factory: Path, used: int) -> str:
    certificate = read_certificate(folder / f"{name}.pem")
    if certificate is None:
        return "not certified yet"
    serial = f"{certificate.serial_number:x}"
    for each in read_withdrawn(factory):
        if (each.name, each.serial) == (name, serial):
            return f"taken back on {each.at:%Y-%m-%d} ({each.reason})"
    issuer = read_certificate(folder / f"{plan.issuer_of(name)}.pem")
    if issuer is None or not is_issued_by(certificate, issuer):
        return "its certificate is of another authority"
    lease = plan.stations[name].lease
    if leased_period(certificate) != lease_period(lease):
        return "its certificate names another lease than the factory file"
    return _right(lease, used, now())


def _right(lease: Lease, used: int, moment: datetime) -> str:
    begins, ends = lease_period(lease)
    if moment < begins:
        return "certified, its lease is to come"
    if moment > ends:
        return "its lease is over"
    if left_of(lease, used) == 0:
        return "its lease is used up"
    return "may sign" if is_open(lease, moment.hour) else "may sign in its hours, which these are not"


def _station(plan: FactoryFile, name: str) -> Profile:
    station = plan.stations.get(name)
    if station is None:
        known = ", ".join(plan.stations) or "none"
        raise RefusedError(f"factory {plan.environment} has no station {name!r}; it has {known}")
    return station


def _own_signer(plan: FactoryFile, name: str, factory: Path, outputs: Path | None) -> Signer:
    """The station's own key, made if need be where its profile says; one in KMS was made by the deployment."""
    station = plan.stations[name]
    match station.key:
        case AuthorityKey.PKCS11:
            return make_or_find_key(station_hsm(factory), key_label(plan.environment, name), station.algorithm.key_type)
        case AuthorityKey.KMS:
            known = None if outputs is None else outputs_of(plan.environment, outputs)
            return kms_signer(name, known, outputs, Cloud.from_environment())
        case AuthorityKey.FILE:
            passphrase = kept_passphrase(factory)()
            return FileSigner(
                make_or_read_authority_key(authority_key_path(factory, name), passphrase, station.algorithm.key_type)
            )
        case AuthorityKey.VENDOR:
            raise RefusedError(f"station {name}: a vendor's key signs nothing here; write key: pkcs11")
