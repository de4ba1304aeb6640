"""The way of a large fleet's batches from the topic rule to the ingest function: a stream that gathers them.

One file of the lake then holds what many devices sent, instead of one file a batch (docs/adr/0014). The stream keeps
every batch for a week, whatever becomes of it.
"""

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.dead_letter_queue import DeadLetterQueue
from components.naming import Naming
from components.policies.stream import put_batches_policy
from components.policies.trust import rules_trust
from components.policy_text import policy_text

RETENTION_HOURS = 7 * 24
"""How long a dead letter that only points at records can still be answered (`fleet lake replay`)."""
KEY = "alias/aws/kinesis"
"""AWS's own key: what lies in the stream lies in the lake too, under S3's."""
MOST_BATCHES = 10_000  # Lambda: the largest for Kinesis; its 6 MB of an invocation come first
WINDOW_SECONDS = 300  # Lambda: the longest; files become as large as they can, data five minutes old
RETRIES = 20
"""With Lambda's growing pauses about a day of trying, then a letter that says where in the stream the records are."""


@dataclass(frozen=True, kw_only=True)
class BatchStreamArgs:
    """One cluster's stream."""

    naming: Naming
    tags: dict[str, str]
    cluster: str
    region: str
    dead_letters: DeadLetterQueue


class BatchStream(pulumi.ComponentResource):
    """An encrypted stream that grows with its load, and the role by which the batch rule fills it."""

    stream_name: str
    stream_arn: pulumi.Output[str]
    put_role_arn: pulumi.Output[str]
    permission: aws.iam.RolePolicy
    """A rule with an action waits for this: AWS IoT tries the role when the rule is made."""

    def __init__(self, name: str, args: BatchStreamArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("flotilla:index:BatchStream", name, None, opts)
        self._name, self._args = name, args
        child = pulumi.ResourceOptions(parent=self)
        self.stream_name = args.naming.name("batches")
        stream = aws.kinesis.Stream(
            f"{name}-stream",
            name=self.stream_name,
            region=args.region,
            stream_mode_details=aws.kinesis.StreamStreamModeDetailsArgs(stream_mode="ON_DEMAND"),
            encryption_type="KMS",
            kms_key_id=KEY,
            retention_period=RETENTION_HOURS,
            tags=args.tags,
            opts=child,
        )
        self.stream_arn = stream.arn
        role = aws.iam.Role(
            f"{name}-role",
            name=args.naming.name("batch-stream", cluster=args.cluster),
            description="AWS IoT puts batches of measurements into the stream",
            assume_role_policy=policy_text(
                rules_trust, rules=args.naming.rule("*"), region=args.region, account_id=args.naming.account_id
            ),
            tags=args.tags,
            opts=child,
        )
        self.put_role_arn = role.arn
        self.permission = aws.iam.RolePolicy(
            f"{name}-policy",
            name="put-batches",
            role=role.name,
            policy=policy_text(put_batches_policy, stream_arn=stream.arn),
            opts=child,
        )
        self.register_outputs({"stream_name": self.stream_name, "stream_arn": self.stream_arn})

    def feed(self, function_arn: pulumi.Input[str], permission: pulumi.Resource) -> None:
        """Hand what gathers in the stream to the function, which `permission` lets read it."""
        failure = aws.lambda_.EventSourceMappingDestinationConfigOnFailureArgs(
            destination_arn=self._args.dead_letters.queue_arn
        )
        aws.lambda_.EventSourceMapping(
            f"{self._name}-mapping",
            event_source_arn=self.stream_arn,
            function_name=function_arn,
            region=self._args.region,
            starting_position="TRIM_HORIZON",
            batch_size=MOST_BATCHES,
            maximum_batching_window_in_seconds=WINDOW_SECONDS,
            maximum_retry_attempts=RETRIES,
            bisect_batch_on_function_error=True,
            destination_config=aws.lambda_.EventSourceMappingDestinationConfigArgs(on_failure=failure),
            tags=self._args.tags,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[permission]),
        )
