"""The signer of an authority, wherever the stack says its key is: a file in `dev`, AWS KMS, or the station's HSM."""

from collections.abc import Callable
from pathlib import Path

from provisioning.ceremony import authority_key_path
from provisioning.cloud import Cloud
from provisioning.errors import RefusedError
from provisioning.file_signer import FileSigner
from provisioning.hsm import Hsm
from provisioning.key_file import read_authority_key
from provisioning.kms_keys import kms_signer
from provisioning.passphrase import read_kept_passphrase
from provisioning.pkcs11_signer import Pkcs11Signer
from provisioning.signer import Signer
from stacks.environment import AuthorityKey, Environment
from stacks.outputs import Outputs


def key_label(environment: str, authority: str) -> str:
    """What an authority's key is called in a token."""
    return f"flotilla-{environment}-{authority}"


def open_signer(
    environment: Environment,
    name: str,
    factory: Path,
    *,
    outputs: Outputs | None,
    outputs_path: Path | None,
    ask: Callable[[str], str],
) -> Signer:
    """The signer of authority `name`; `ask` gives the HSM's PIN where no file has it."""
    match environment.authorities[name].key:
        case AuthorityKey.KMS:
            return kms_signer(name, outputs, outputs_path, Cloud.from_environment())
        case AuthorityKey.PKCS11:
            return Pkcs11Signer.of(Hsm.read(factory, ask), key_label(environment.name, name))
        case AuthorityKey.VENDOR:
            raise RefusedError(
                f"authority {name}: its key is its vendor's, and nobody here signs with it; take another authority"
            )
        case AuthorityKey.FILE:
            return FileSigner(read_authority_key(authority_key_path(factory, name), read_kept_passphrase(factory)))
