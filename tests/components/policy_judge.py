"""What parliament, an independent reader of IAM policies, says of ours.

References of a plan become ARNs of the shape AWS gives, since the judge checks resources against actions.
"""

import re
import warnings
from types import MappingProxyType

from local.registration import Registration
from tests.components.tree import ACCOUNT, Tree

with warnings.catch_warnings():
    # It still loads its data through pkg_resources, which says of itself that it is deprecated.
    warnings.simplefilter("ignore")
    import parliament

ACCOUNT_ID = "123456789012"
ARNS = MappingProxyType(
    {
        "aws:dynamodb/table:Table": "arn:aws:dynamodb:{region}:123456789012:table/{name}",
        "aws:kinesis/stream:Stream": "arn:aws:kinesis:{region}:123456789012:stream/{name}",
        "aws:kms/key:Key": "arn:aws:kms:{region}:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
        "aws:s3/bucket:Bucket": "arn:aws:s3:::{name}",
        "aws:sqs/queue:Queue": "arn:aws:sqs:{region}:123456789012:{name}",
    }
)
_REFERENCE = re.compile(r"\$\{([^}]+)\.arn\}")


def findings(policy: str, tree: Tree) -> list[str]:
    """What the judge finds in a policy document of the tree, one line each."""
    return parliament_findings(_plausible(policy, tree))


def parliament_findings(policy: str) -> list[str]:
    """What the judge finds in a policy document with real names, one line each."""
    return [f"{finding.issue}: {finding.detail}" for finding in parliament.analyze_policy_string(policy).findings]


def _plausible(policy: str, tree: Tree) -> str:
    by_name = {one.name: one for one in tree.registrations}
    return _REFERENCE.sub(lambda match: _arn(by_name[match[1]]), policy).replace(ACCOUNT, ACCOUNT_ID)


def _arn(resource: Registration) -> str:
    return ARNS[resource.type].format(region=resource.region, name=resource.name)
