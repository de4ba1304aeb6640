"""The policies of KMS keys.

In a key policy the resource `*` means the key the policy is attached to (AWS KMS Developer Guide, "Key policies"), so
it is the one place where `*` is narrow. Actions are listed all the same: `kms:*` would let an administrator sign.
"""

from components.policies import arns
from components.policies.statement import Document, Statement, allow_principal, document

SIGNING_ALGORITHM = "ECDSA_SHA_256"
"""How issuing authorities sign: P-256 with SHA-256 (RFC 5758)."""

_THIS_KEY = ["*"]
_ADMINISTRATION = [
    "kms:CancelKeyDeletion",
    "kms:CreateAlias",
    "kms:DeleteAlias",
    "kms:DescribeKey",
    "kms:DisableKey",
    "kms:EnableKey",
    "kms:GetKeyPolicy",
    "kms:GetKeyRotationStatus",
    "kms:ListGrants",
    "kms:ListKeyPolicies",
    "kms:ListResourceTags",
    "kms:PutKeyPolicy",
    "kms:RevokeGrant",
    "kms:ScheduleKeyDeletion",
    "kms:TagResource",
    "kms:UntagResource",
    "kms:UpdateAlias",
    "kms:UpdateKeyDescription",
]


def administer(account_id: str) -> Statement:
    """Administration by whom the account's IAM policies name; no use of the key."""
    principal = {"AWS": arns.account_root(account_id)}
    return allow_principal("Administer", principal, _ADMINISTRATION, _THIS_KEY)


def rotate(account_id: str) -> Statement:
    """Switching yearly rotation on and off, which only symmetric keys have."""
    principal = {"AWS": arns.account_root(account_id)}
    actions = ["kms:DisableKeyRotation", "kms:EnableKeyRotation"]
    return allow_principal("Rotate", principal, actions, _THIS_KEY)


def authority_key_policy(*, account_id: str) -> Document:
    """The key of an issuing authority: the account's IAM policies say who may sign, and only in one algorithm."""
    account = {"AWS": arns.account_root(account_id)}
    return document(
        administer(account_id),
        allow_principal("ReadPublicKey", account, ["kms:GetPublicKey", "kms:Verify"], _THIS_KEY),
        allow_principal(
            "SignCertificates",
            account,
            ["kms:Sign"],
            _THIS_KEY,
            condition={"StringEquals": {"kms:SigningAlgorithm": SIGNING_ALGORITHM}},
        ),
    )


def dnssec_key_policy(*, account_id: str) -> Document:
    """The zone's key-signing key, as Route 53 asks for it (Developer Guide, "Working with customer managed keys")."""
    route53 = {"Service": "dnssec-route53.amazonaws.com"}
    ours = {
        "StringEquals": {"aws:SourceAccount": account_id},
        "ArnLike": {"aws:SourceArn": f"arn:{arns.PARTITION}:route53:::hostedzone/*"},
    }
    return document(
        administer(account_id),
        allow_principal("ReadPublicKey", {"AWS": arns.account_root(account_id)}, ["kms:GetPublicKey"], _THIS_KEY),
        allow_principal(
            "SignTheZone",
            route53,
            ["kms:DescribeKey", "kms:GetPublicKey", "kms:Sign"],
            _THIS_KEY,
            condition=ours,
        ),
        allow_principal(
            "GrantToTheZone",
            route53,
            ["kms:CreateGrant"],
            _THIS_KEY,
            condition=ours | {"Bool": {"kms:GrantIsForAWSResource": "true"}},
        ),
    )
