"""Where what could not be delivered waits for a person, and the role by which topic rules put it there."""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.naming import Naming
from components.policies.queue import error_action_policy, queue_policy
from components.policies.trust import rules_trust
from components.policy_text import policy_text

RETENTION_SECONDS = 14 * 24 * 3600  # SQS: the longest; nobody should have to hurry over a weekend


@dataclass(frozen=True, kw_only=True)
class DeadLetterQueueArgs:
    """One queue of one cluster."""

    naming: Naming
    tags: dict[str, str]
    cluster: str
    region: str
    thing: str
    """What the letters come from; part of the names."""


class DeadLetterQueue(pulumi.ComponentResource):
    """Encrypted, TLS only, and open to the error actions of this account's topic rules through one role."""

    queue_name: str
    queue_arn: pulumi.Output[str]
    queue_url: pulumi.Output[str]
    error_action_role_arn: pulumi.Output[str]
    permission: aws.iam.RolePolicy
    """A rule with an error action waits for this: AWS IoT tries the role when the rule is made."""

    def __init__(self, name: str, args: DeadLetterQueueArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("flotilla:index:DeadLetterQueue", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.queue_name = args.naming.name(f"{args.thing}-dead-letters")
        queue = aws.sqs.Queue(
            f"{name}-queue",
            name=self.queue_name,
            region=args.region,
            message_retention_seconds=RETENTION_SECONDS,
            sqs_managed_sse_enabled=True,
            tags=args.tags,
            opts=child,
        )
        self.queue_arn, self.queue_url = queue.arn, queue.url
        aws.sqs.QueuePolicy(
            f"{name}-queue-policy",
            queue_url=queue.url,
            region=args.region,
            policy=policy_text(queue_policy, queue_arn=queue.arn),
            opts=child,
        )
        role = aws.iam.Role(
            f"{name}-role",
            name=args.naming.name(f"{args.thing}-errors", cluster=args.cluster),
            description=f"AWS IoT sends what {args.thing} could not take to its dead letter queue",
            assume_role_policy=policy_text(
                rules_trust, rules=args.naming.rule("*"), region=args.region, account_id=args.naming.account_id
            ),
            tags=args.tags,
            opts=child,
        )
        self.error_action_role_arn = role.arn
        self.permission = aws.iam.RolePolicy(
            f"{name}-policy",
            name="send-dead-letters",
            role=role.name,
            policy=policy_text(error_action_policy, queue_arn=queue.arn),
            opts=child,
        )
        self.register_outputs({"queue_arn": self.queue_arn, "queue_url": self.queue_url})
