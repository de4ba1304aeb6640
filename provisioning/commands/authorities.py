"""Open an authority of the stack, wherever its key is: a file in `dev`, AWS KMS, or the station's HSM."""

from collections.abc import Mapping
from pathlib import Path

from cryptography import x509

from provisioning.authority import IssuingAuthority, read_certificate
from provisioning.ceremony import ROOT_CERTIFICATE_FILE
from provisioning.commands.asking import typed
from provisioning.commands.options import now, outputs_of
from provisioning.errors import RefusedError
from provisioning.hsm import Hsm
from provisioning.open_signer import open_signer
from stacks.environment import CaCertificate, Environment


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
        signer=open_signer(
            environment,
            name,
            factory,
            outputs=None if outputs is None else outputs_of(environment.name, outputs),
            outputs_path=outputs,
            ask=typed,
        ),
        root=read_certificate(factory / ROOT_CERTIFICATE_FILE),
        now=now(),
    )


def station_hsm(factory: Path) -> Hsm:
    """The HSM of this machine; a person is asked for its PIN where no file has it."""
    return Hsm.read(factory, typed)
