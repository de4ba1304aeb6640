"""From an authority's name in the outputs to its signer in KMS."""

from pathlib import Path

from provisioning.cloud import Cloud
from provisioning.errors import RefusedError
from provisioning.kms_signer import KmsSigner
from stacks.outputs import Outputs


def kms_signer(authority: str, outputs: Outputs | None, path: Path | None, cloud: Cloud) -> KmsSigner:
    """The signer of a KMS authority; `RefusedError` when the outputs do not lead to its key.

    `path`: where the outputs come from, for the message.
    """
    if outputs is None:
        raise RefusedError(
            f"authority {authority}: its key is in KMS; give --outputs FILE of the deployment that has it"
        )
    known = outputs.authorities.get(authority)
    if known is None or known.key_arn is None or known.key_region is None:
        raise RefusedError(
            f"{path}: authority {authority} has no KMS key yet; deploy stack {outputs.environment} first "
            f"(pulumi up), write its outputs anew, and run this again"
        )
    return KmsSigner.of(cloud.kms(known.key_region), known.key_arn)
