"""How a desk's authorities get their certificates: in the desk's own folder, never beside the stack files.

What is beside the stack files is committed and deployed; what a desk makes is thrown away with it.
"""

from collections.abc import Mapping
from pathlib import Path

from local.desk import AUTHORITIES, OUTPUTS_FILE
from local.typed import shown, typed
from stacks.environment import AuthorityKey
from stacks.outputs import Outputs

FACTORY = "factory"
"""In the desk's home: the root, keys in files, the ledger."""


def ceremony_arguments(stack: str, home: Path) -> tuple[str, ...]:
    """The ceremony of the desk in `home`, as arguments of `python -m`."""
    return (
        *("provisioning", "ceremony", f"stacks/factories/{stack}.yaml", "--factory", shown(home / FACTORY)),
        *("--out", shown(home / AUTHORITIES), "--outputs", shown(home / OUTPUTS_FILE)),
    )


def ways_to_certificates(outputs: Outputs, stack: str, home: Path) -> Mapping[str, str]:
    """What makes the certificate of each authority that has none, on this desk."""
    return {
        authority: _way(authority, AuthorityKey(outputs.authorities[authority].key), stack, home)
        for authority in sorted(outputs.authorities_without_certificate)
    }


def _way(authority: str, key: AuthorityKey, stack: str, home: Path) -> str:
    folder, factory = shown(home / AUTHORITIES), shown(home / FACTORY)
    match key:
        case AuthorityKey.VENDOR:
            return f"put the vendor's certificate into {folder}/{authority}.pem"
        case AuthorityKey.PKCS11:
            return (
                f"a station, at its HSM: as docs/signers.md says, with --factory {factory} and, where it is "
                f"certified, --out {folder}; an authority, at its HSM: the ceremony"
            )
        case AuthorityKey.FILE | AuthorityKey.KMS:
            return typed(*ceremony_arguments(stack, home))
