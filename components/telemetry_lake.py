"""Where measurements arrive in a cluster's region (design decision 8).

The lake, the function that fills it, and the dead letter queue for what could not be stored: no batch is dropped
silently.
"""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.function import Function, FunctionArgs
from components.naming import Naming
from components.policies import arns
from components.policies.lake import ingest_policy
from components.policies.queue import error_action_policy, queue_policy
from components.policies.trust import IOT_SERVICE, rules_trust
from components.policy_text import policy_text
from components.private_bucket import PrivateBucket, PrivateBucketArgs

DEAD_LETTER_SECONDS = 14 * 24 * 60 * 60  # SQS: the longest retention
BATCH_RULE = "batch"
"""The topic rule that hands batches to the ingest function; see `Naming.rule`."""


@dataclass(frozen=True, kw_only=True)
class TelemetryLakeArgs:
    """Which cluster's measurements."""

    naming: Naming
    cluster: str
    region: str


class TelemetryLake(pulumi.ComponentResource):
    """Bucket, ingest function and dead letter queue, and the roles that reach them."""

    bucket_name: pulumi.Output[str]
    ingest_function_arn: pulumi.Output[str]
    dead_letter_queue_url: pulumi.Output[str]
    dead_letter_queue_arn: pulumi.Output[str]
    dead_letter_queue_name: pulumi.Output[str]
    error_role_arn: pulumi.Output[str]
    """The role of every topic rule's error action in this region."""

    def __init__(self, name: str, args: TelemetryLakeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("flotilla:index:TelemetryLake", name, None, opts)
        self._name, self._args = name, args
        self._tags = args.naming.tags(name)
        bucket = PrivateBucket(
            f"{name}-lake",
            PrivateBucketArgs(
                naming=args.naming,
                tags=self._tags,
                region=args.region,
                purpose="lake",
                protect=args.naming.protects,
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.bucket_name = bucket.bucket_name
        queue = self._dead_letters()
        self.dead_letter_queue_url, self.dead_letter_queue_arn = queue.url, queue.arn
        self.dead_letter_queue_name = queue.name
        self.error_role_arn = self._error_role()
        self.ingest_function_arn = self._ingest()
        self.register_outputs(
            {"bucket_name": self.bucket_name, "dead_letter_queue_url": self.dead_letter_queue_url},
        )

    def _dead_letters(self) -> aws.sqs.Queue:
        queue = aws.sqs.Queue(
            f"{self._name}-dead-letters",
            name=self._args.naming.name("dead-letters"),
            region=self._args.region,
            message_retention_seconds=DEAD_LETTER_SECONDS,
            sqs_managed_sse_enabled=True,
            tags=self._tags,
            opts=pulumi.ResourceOptions(parent=self),
        )
        aws.sqs.QueuePolicy(
            f"{self._name}-dead-letters-policy",
            queue_url=queue.url,
            region=self._args.region,
            policy=policy_text(queue_policy, queue_arn=queue.arn),
            opts=pulumi.ResourceOptions(parent=self),
        )
        return queue

    def _error_role(self) -> pulumi.Output[str]:
        """The role by which a topic rule sends what it could not deliver."""
        naming, cluster = self._args.naming, self._args.cluster
        role = aws.iam.Role(
            f"{self._name}-error-role",
            name=naming.name("rule-errors", cluster=cluster),
            description="Topic rules send what they could not deliver to the dead letter queue",
            assume_role_policy=policy_text(
                rules_trust, rules=naming.rule("*"), region=self._args.region, account_id=naming.account_id
            ),
            tags=self._tags,
            opts=pulumi.ResourceOptions(parent=self),
        )
        permission = aws.iam.RolePolicy(
            f"{self._name}-error-policy",
            name="rule-errors",
            role=role.name,
            policy=policy_text(error_action_policy, queue_arn=self.dead_letter_queue_arn),
            opts=pulumi.ResourceOptions(parent=self),
        )
        # A rule may not exist before its role may send: what fails in between would be lost.
        return pulumi.Output.all(role.arn, permission.id).apply(lambda known: str(known[0]))

    def _ingest(self) -> pulumi.Output[str]:
        """The function, which the batch rule and nothing else may invoke."""
        naming, region = self._args.naming, self._args.region
        function = Function(
            f"{self._name}-ingest",
            FunctionArgs(
                naming=naming,
                tags=self._tags,
                cluster=self._args.cluster,
                region=region,
                module="ingest",
                description="Stores batches of measurements in the lake",
                environment={
                    "LAKE_BUCKET": self.bucket_name,
                    "DEAD_LETTER_QUEUE_URL": self.dead_letter_queue_url,
                    "ENVIRONMENT": naming.environment,
                },
                policy=ingest_policy,
                policy_inputs={"bucket": self.bucket_name, "queue_arn": self.dead_letter_queue_arn},
                dead_letter_queue_arn=self.dead_letter_queue_arn,
            ),
            pulumi.ResourceOptions(parent=self),
        )
        permission = aws.lambda_.Permission(
            f"{self._name}-ingest-permission",
            statement_id="BatchRule",
            action="lambda:InvokeFunction",
            function=function.function_name,
            principal=IOT_SERVICE,
            region=region,
            source_account=naming.account_id,
            source_arn=naming.account_id.apply(
                lambda account_id: arns.topic_rule(naming.rule(BATCH_RULE), region=region, account_id=account_id)
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[function]),
        )
        return pulumi.Output.all(function.function_arn, permission.id).apply(lambda known: str(known[0]))
