"""A program's resources, and how to find one's way among them."""

import inspect
import json
from collections.abc import Iterator
from typing import Any

from local.program import ProgramRun
from local.reference import ACCOUNT, resource_class
from local.registration import Registration

BUCKET = "aws:s3/bucket:Bucket"
BUCKET_ENCRYPTION = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
BUCKET_OWNERSHIP = "aws:s3/bucketOwnershipControls:BucketOwnershipControls"
BUCKET_POLICY = "aws:s3/bucketPolicy:BucketPolicy"
BUCKET_PUBLIC_ACCESS = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
FUNCTION = "aws:lambda/function:Function"
LOG_GROUP = "aws:cloudwatch/logGroup:LogGroup"
QUEUE = "aws:sqs/queue:Queue"
QUEUE_POLICY = "aws:sqs/queuePolicy:QueuePolicy"
ROLE = "aws:iam/role:Role"
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
TOPIC = "aws:sns/topic:Topic"
TOPIC_POLICY = "aws:sns/topicPolicy:TopicPolicy"

POLICY_INPUTS = ("policy", "assumeRolePolicy", "policyDocument")
"""The inputs that hold a policy document."""


class Tree:
    """The resources of one program run."""

    def __init__(self, registrations: list[Registration]) -> None:
        self.registrations = registrations
        self.by_urn = {one.urn: one for one in registrations}

    @classmethod
    def of(cls, run: ProgramRun) -> "Tree":
        return cls([resource.registration for resource in run.resources])

    def custom(self) -> list[Registration]:
        """Everything a provider makes."""
        return [one for one in self.registrations if one.custom]

    def of_type(self, token: str) -> list[Registration]:
        return [one for one in self.registrations if one.type == token]

    def companions(self, token: str, **inputs: Any) -> list[Registration]:
        """Resources of a type with these inputs."""
        return [
            one for one in self.of_type(token) if all(one.inputs.get(name) == value for name, value in inputs.items())
        ]


def reference(resource: Registration, output: str) -> str:
    """How an output of a resource reads in a plan."""
    return f"${{{resource.name}.{output}}}"


def takes(resource: Registration, argument: str) -> bool:
    """Whether the resource's class has an argument of this name."""
    return argument in inspect.signature(resource_class(resource.type)._internal_init).parameters  # type: ignore[attr-defined]  # pulumi's generated constructor


def policy_documents(resource: Registration) -> Iterator[dict[str, Any]]:
    """Every policy document among the inputs; an attachment only names a policy of AWS IoT."""
    for name in POLICY_INPUTS:
        if name in resource.inputs and resource.type != "aws:iot/policyAttachment:PolicyAttachment":
            yield json.loads(resource.inputs[name])


def listed(value: Any) -> list[Any]:
    """What a policy may write as one value or as a list of them."""
    return value if isinstance(value, list) else [value]


__all__ = ["ACCOUNT", "Tree", "listed", "policy_documents", "reference", "takes"]
