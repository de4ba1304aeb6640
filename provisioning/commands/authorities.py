"""Open an authority of the stack, wherever its key is: a file in `dev`, AWS KMS, or the station's HSM."""

from collections.abc import Mapping
from pathlib import Path

import typer
from cryptography import x509

from provisioning.authority import IssuingAuthority, read_certificate
from provisioning.ceremony import ROOT_CERTIFICATE_FILE, authority_key_path
from provisioning.cloud import Cloud
from provisioning.commands.options import now, outputs_of
from provisioning.errors import RefusedError
from provisioning.file_signer import FileSigner
from provisioning.hsm import Hsm
from provisioning.key_file import read_authority_key
from provisioning.kms_keys import kms_signer
from provisioning.passphrase import read_kept_passphrase
from provisioning.pkcs11_signer import Pkcs11Signer
from provisioning.signer import Signer
from stacks.environment import AuthorityKey, CaCertificate, Environment


def open_authority(
    environment: Environment,
    name: str,
    factory: Path,
    certificates: Mapping[str, CaCertificate],
    outputs: Path | None,
) -> IssuingAuthority:
    """The authority, ready to sign; `certificates` are those found beside the stack file."""
    found = certificates.get(name)
    if found is None:
        raise RefusedError(
            f"{name}.pem: authority {name} has no certificate yet; hold the ceremony, or give the folder "
            f"of certificates as --authorities"
        )
    return IssuingAuthority.ready(
        name=name,
        certificate=x509.load_pem_x509_certificate(found.pem.encode("ascii")),
        signer=_signer(environment, name, factory, outputs),
        root=read_certificate(factory / ROOT_CERTIFICATE_FILE),
        now=now(),
    )


def station_hsm(factory: Path) -> Hsm:
    """The HSM of this machine; a person is asked for its PIN where no file has it."""
    return Hsm.read(factory, lambda prompt: str(typer.prompt(prompt, hide_input=True, err=True)))


def key_label(environment: str, authority: str) -> str:
    """What an authority's key is called in a token."""
    return f"flotilla-{environment}-{authority}"


def _signer(environment: Environment, name: str, factory: Path, outputs: Path | None) -> Signer:
    match environment.authorities[name].key:
        case AuthorityKey.KMS:
            known = None if outputs is None else outputs_of(environment.name, outputs)
            return kms_signer(name, known, outputs, Cloud.from_environment())
        case AuthorityKey.PKCS11:
            return Pkcs11Signer.of(station_hsm(factory), key_label(environment.name, name))
        case AuthorityKey.FILE:
            return FileSigner(read_authority_key(authority_key_path(factory, name), read_kept_passphrase(factory)))
