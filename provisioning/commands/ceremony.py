"""`python -m provisioning ceremony`: make the root and the issuing authorities of an environment."""

import os
from pathlib import Path
from typing import Annotated

import typer
from cryptography import x509

from provisioning.algorithm import PublicKey
from provisioning.ceremony import ROOT_KEY_FILE, Room, hold
from provisioning.cloud import Cloud
from provisioning.commands.asking import ask_for
from provisioning.commands.authorities import station_hsm
from provisioning.commands.options import AsJson, OutputsFile, now, outputs_of
from provisioning.commands.telling import errors_told, tell_rows
from provisioning.factory_file import FactoryFile
from provisioning.kms_keys import kms_signer
from provisioning.kms_signer import KmsSigner
from provisioning.open_signer import key_label
from provisioning.passphrase import PASSPHRASE_VARIABLE, Passphrase, given_passphrase, kept_passphrase
from provisioning.pkcs11_signer import make_or_find_key
from provisioning.read_factory import read_factory
from stacks.environment import GATEWAY_AUTHORITY, AuthorityKey
from stacks.load import AUTHORITIES
from stacks.rules.identity import DESK


def ceremony(
    file: Annotated[Path, typer.Argument(help="The reviewed factory file, such as stacks/factories/dev.yaml.")],
    factory: Annotated[Path, typer.Option(help="Keeps the root and keys in files; made if need be.")],
    out: Annotated[
        Path | None, typer.Option(help="Where the authorities' certificates go: stacks/authorities/<stack>.")
    ] = None,
    outputs: OutputsFile = None,
    as_json: AsJson = False,
) -> None:
    """Make the root and the authorities that FILE names; keep those that stand. A rerun is harmless."""
    with errors_told():
        plan, environment = read_factory(file)
        made = hold(
            plan,
            Room(
                factory=factory,
                out=out or AUTHORITIES / plan.environment,
                root_passphrase=_passphrase(plan, factory),
                held_keys={**_kms_keys(plan, outputs), **_hsm_keys(plan, factory)},
                domain=environment.domain,
                gateway_signer=_gateway_signer(plan, outputs),
                now=now(),
                new_serial=x509.random_serial_number,
            ),
        )
    rows = [
        {
            "authority": each.name,
            "result": "made" if each.is_new else "kept",
            "subject": each.certificate.subject.rfc4514_string(),
            "not_after": each.certificate.not_valid_after_utc.isoformat(),
            "certificate": str(each.path),
        }
        for each in made
    ]
    tell_rows("authorities", rows, as_json=as_json, columns=("authority", "result", "not_after", "certificate"))


def _kms_keys(plan: FactoryFile, path: Path | None) -> dict[str, PublicKey]:
    outputs = None if path is None else outputs_of(plan.environment, path)
    wanted = [name for name, authority in plan.authorities.items() if authority.key is AuthorityKey.KMS]
    cloud = Cloud.from_environment()
    return {name: kms_signer(name, outputs, path, cloud).public_key() for name in wanted}


def _hsm_keys(plan: FactoryFile, factory: Path) -> dict[str, PublicKey]:
    """Of the authorities whose key is in this machine's HSM: made there if need be."""
    wanted = [(name, each) for name, each in plan.authorities.items() if each.key is AuthorityKey.PKCS11]
    if not wanted:
        return {}
    hsm = station_hsm(factory)
    return {
        name: make_or_find_key(hsm, key_label(plan.environment, name), each.algorithm.key_type).public_key()
        for name, each in wanted
    }


def _gateway_signer(plan: FactoryFile, path: Path | None) -> KmsSigner | None:
    if plan.gateway is None or plan.gateway.key is not AuthorityKey.KMS:
        return None
    outputs = None if path is None else outputs_of(plan.environment, path)
    return kms_signer(GATEWAY_AUTHORITY, outputs, path, Cloud.from_environment())


def _passphrase(plan: FactoryFile, factory: Path) -> Passphrase:
    if plan.environment == DESK:
        return kept_passphrase(factory)
    is_new = not (factory / ROOT_KEY_FILE).exists()

    def ask() -> str:
        kept = os.environ.get(PASSPHRASE_VARIABLE)
        if kept is not None:
            return kept
        return ask_for("Passphrase of the root's key", instead=f"set {PASSPHRASE_VARIABLE}", is_new=is_new)

    return given_passphrase(ask)
