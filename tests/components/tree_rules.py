"""What must hold for the resources of every stack: one function a rule, each returns what breaks it."""

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

from tests.components import tree as kinds
from tests.components.tree import ACCOUNT, Tree, listed, policy_documents, reference, takes

TAGS = {"environment", "component", "owner"}

TRUST_WITHOUT_ACCOUNT = MappingProxyType(
    {
        # The S3 User Guide gives the trust of a replication role without conditions and names no key that S3 passes.
        # S3 takes only a role of the bucket's own account, so no other account can be the confusing one.
        "s3.amazonaws.com": "replication: S3 passes no source account, and refuses a role of another account",
    }
)

Rule = Callable[[Tree], list[str]]


def parented(tree: Tree) -> list[str]:
    """No AWS resource without a component parent."""
    return [
        f"{one.name} ({one.type}) has no component above it"
        for one in tree.custom()
        if one.parent is None or one.parent not in tree.by_urn or tree.by_urn[one.parent].custom
    ]


def uniquely_named(tree: Tree) -> list[str]:
    """One logical name, one resource; whatever its type, so that a message names exactly one."""
    names = [one.name for one in tree.registrations]
    return [f"{name} is the name of several resources" for name in sorted({n for n in names if names.count(n) > 1})]


def tagged(tree: Tree) -> list[str]:
    """Tags environment, component and owner on everything that takes tags."""
    return [
        f"{one.name} ({one.type}) lacks tags {sorted(TAGS - set(one.inputs.get('tags', {})))}"
        for one in tree.custom()
        if takes(one, "tags") and not set(one.inputs.get("tags", {})) >= TAGS
    ]


def in_a_region(tree: Tree) -> list[str]:
    """Everything that lives in a region says which."""
    return [
        f"{one.name} ({one.type}) names no region" for one in tree.custom() if takes(one, "region") and not one.region
    ]


def private_buckets(tree: Tree) -> list[str]:
    """Every bucket is encrypted, closed to the public, without ACLs, and refuses what comes without TLS."""
    broken = []
    for bucket in tree.of_type(kinds.BUCKET):
        name = bucket.inputs["bucket"]
        if not tree.companions(kinds.BUCKET_ENCRYPTION, bucket=name):
            broken.append(f"{bucket.name} is not encrypted by a configuration of its own")
        closed = {"blockPublicAcls": True, "blockPublicPolicy": True}
        closed |= {"ignorePublicAcls": True, "restrictPublicBuckets": True}
        if not tree.companions(kinds.BUCKET_PUBLIC_ACCESS, bucket=name, **closed):
            broken.append(f"{bucket.name} does not block all public access")
        if not tree.companions(kinds.BUCKET_OWNERSHIP, bucket=name, rule={"objectOwnership": "BucketOwnerEnforced"}):
            broken.append(f"{bucket.name} allows ACLs")
        resources = {f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"}
        policies = tree.companions(kinds.BUCKET_POLICY, bucket=name)
        if not any(_refuses_plaintext(document, resources) for one in policies for document in policy_documents(one)):
            broken.append(f"{bucket.name} takes requests without TLS")
    return broken


def private_queues(tree: Tree) -> list[str]:
    """Every queue is encrypted and refuses what comes without TLS."""
    broken = []
    for queue in tree.of_type(kinds.QUEUE):
        if not queue.inputs.get("sqsManagedSseEnabled") and not queue.inputs.get("kmsMasterKeyId"):
            broken.append(f"{queue.name} is not encrypted")
        policies = tree.companions(kinds.QUEUE_POLICY, queueUrl=reference(queue, "url"))
        resources = {reference(queue, "arn")}
        if not any(_refuses_plaintext(document, resources) for one in policies for document in policy_documents(one)):
            broken.append(f"{queue.name} takes requests without TLS")
    return broken


def private_topics(tree: Tree) -> list[str]:
    """Every topic is encrypted and refuses what comes without TLS."""
    broken = []
    for topic in tree.of_type(kinds.TOPIC):
        if not topic.inputs.get("kmsMasterKeyId"):
            broken.append(f"{topic.name} is not encrypted")
        policies = tree.companions(kinds.TOPIC_POLICY, arn=reference(topic, "arn"))
        resources = {reference(topic, "arn")}
        if not any(_refuses_plaintext(document, resources) for one in policies for document in policy_documents(one)):
            broken.append(f"{topic.name} takes messages without TLS")
    return broken


def named_actions(tree: Tree) -> list[str]:
    """No statement has a bare `*` action, and none that allows has all the actions of a service."""
    broken = []
    for one in tree.custom():
        for statement in (s for document in policy_documents(one) for s in document["Statement"]):
            actions = listed(statement.get("Action", "*"))
            if any(not action.strip("*") for action in actions):
                broken.append(f"{one.name} has a statement for every action there is")
            if statement["Effect"] == "Allow" and any(action.endswith(":*") for action in actions):
                broken.append(f"{one.name} allows every action of a service")
    return broken


def narrow_trust(tree: Tree) -> list[str]:
    """Every role is assumed by one service only, and only for this account."""
    broken = []
    for role in tree.of_type(kinds.ROLE):
        for document in policy_documents(role):
            broken += [f"{role.name}: {why}" for statement in document["Statement"] for why in _wide_trust(statement)]
    return broken


def apart_functions(tree: Tree) -> list[str]:
    """Every function has a role that no other has, and a log group that forgets."""
    functions = tree.of_type(kinds.FUNCTION)
    roles = [function.inputs["role"] for function in functions]
    broken = [f"{one.name} shares its role" for one in functions if roles.count(one.inputs["role"]) > 1]
    for function in functions:
        name = f"/aws/lambda/{function.inputs['name']}"
        groups = tree.companions(kinds.LOG_GROUP, name=name, region=function.region)
        if not any(group.inputs.get("retentionInDays") for group in groups):
            broken.append(f"{function.name} has no log group with a retention")
    return broken


RULES: tuple[Rule, ...] = (
    parented,
    uniquely_named,
    tagged,
    in_a_region,
    private_buckets,
    private_queues,
    private_topics,
    named_actions,
    narrow_trust,
    apart_functions,
)


def _refuses_plaintext(document: dict[str, Any], resources: set[str]) -> bool:
    return any(
        statement["Effect"] == "Deny"
        and statement.get("Principal") in ("*", {"AWS": "*"})
        and statement.get("Condition") == {"Bool": {"aws:SecureTransport": "false"}}
        and resources <= set(listed(statement["Resource"]))
        for statement in document["Statement"]
    )


def _wide_trust(statement: dict[str, Any]) -> list[str]:
    principal = statement.get("Principal")
    service = principal.get("Service") if isinstance(principal, dict) and set(principal) == {"Service"} else None
    if not isinstance(service, str):
        return [f"trusts {principal}, and not one service"]
    if service in TRUST_WITHOUT_ACCOUNT:
        return []
    account = statement.get("Condition", {}).get("StringEquals", {}).get("aws:SourceAccount")
    return [] if account == ACCOUNT else [f"trusts {service} for any account"]
