"""Where measurements arrive in a cluster's region (design decision 8).

The lake, the tables over it, the function that fills it, and the dead letter queue for what could not be stored: no
batch is dropped silently.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.batch_stream import BatchStream, BatchStreamArgs
from components.dead_letter_queue import DeadLetterQueue, DeadLetterQueueArgs
from components.function import Function, FunctionArgs
from components.lake_catalog import LakeCatalog, LakeCatalogArgs
from components.naming import Naming
from components.policies import arns
from components.policies.lake import ingest_policy, stream_ingest_policy
from components.policies.trust import IOT_SERVICE
from components.private_bucket import PrivateBucket, PrivateBucketArgs
from stacks.environment import BatchPath

BATCH_RULE = "batch"
"""The topic rule that hands batches to the ingest function; see `Naming.rule`."""
MEMORY_MIB = 1024
"""The worst that 128 KB can hold takes 300 MiB before it is refused, the largest honest batch 60 (measured)."""
TIMEOUT_SECONDS = 120
"""Ten thousand batches of a stream at 300,000 readings a second and core, with their uploads."""


@dataclass(frozen=True, kw_only=True)
class TelemetryLakeArgs:
    """Which cluster's measurements."""

    naming: Naming
    cluster: str
    region: str
    manifest_table: str
    """Where certificates are looked up: the model of a device is a part of where its readings lie."""
    manifest_table_arn: pulumi.Input[str]
    batches: BatchPath
    models: Sequence[str]
    """Whose measurements the catalogue names."""


class TelemetryLake(pulumi.ComponentResource):
    """Bucket, its tables, ingest function and dead letter queue, and the roles that reach them."""

    bucket_name: pulumi.Output[str]
    dead_letters: DeadLetterQueue
    function_name: str
    function_arn: pulumi.Output[str]
    stream: BatchStream | None
    """Where batches gather; None where the rule hands each to the function."""
    permission: pulumi.Resource
    """The batch rule waits for this: a batch it could not hand over would be a dead letter."""

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
        LakeCatalog(
            f"{name}-catalog",
            LakeCatalogArgs(
                naming=args.naming,
                tags=self._tags,
                region=args.region,
                bucket=bucket.bucket_name,
                models=args.models,
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.dead_letters = DeadLetterQueue(
            f"{name}-dead-letters",
            DeadLetterQueueArgs(
                naming=args.naming, tags=self._tags, cluster=args.cluster, region=args.region, thing="telemetry"
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.stream = self._stream() if args.batches is BatchPath.KINESIS else None
        function = self._ingest()
        self.function_name, self.function_arn = function.function_name, function.function_arn
        if self.stream is None:
            self.permission = self._let_batches_in(function)
        else:
            self.stream.feed(function.function_arn, function.permission)
            self.permission = self.stream.permission
        self.register_outputs({"bucket_name": self.bucket_name, "function_arn": self.function_arn})

    def _stream(self) -> BatchStream:
        return BatchStream(
            f"{self._name}-batches",
            BatchStreamArgs(
                naming=self._args.naming,
                tags=self._tags,
                cluster=self._args.cluster,
                region=self._args.region,
                dead_letters=self.dead_letters,
            ),
            pulumi.ResourceOptions(parent=self),
        )

    def _ingest(self) -> Function:
        naming, queue, stream = self._args.naming, self.dead_letters, self.stream
        return Function(
            f"{self._name}-ingest",
            FunctionArgs(
                naming=naming,
                tags=self._tags,
                cluster=self._args.cluster,
                region=self._args.region,
                module="ingest",
                description="Stores batches of measurements in the lake",
                environment={
                    "LAKE_BUCKET": self.bucket_name,
                    "MANIFEST_TABLE": self._args.manifest_table,
                    "DEAD_LETTER_QUEUE_URL": queue.queue_url,
                    "ENVIRONMENT": naming.environment,
                },
                policy=ingest_policy if stream is None else stream_ingest_policy,
                policy_inputs={
                    "bucket": self.bucket_name,
                    "manifest_table_arn": self._args.manifest_table_arn,
                    "queue_arn": queue.queue_arn,
                    **({} if stream is None else {"stream_arn": stream.stream_arn}),
                },
                dead_letter_queue_arn=queue.queue_arn,
                timeout_seconds=TIMEOUT_SECONDS,
                memory_mib=MEMORY_MIB,
            ),
            pulumi.ResourceOptions(parent=self),
        )

    def _let_batches_in(self, function: Function) -> aws.lambda_.Permission:
        """Let the batch rule, and nothing else, invoke the function."""
        rule, region = self._args.naming.rule(BATCH_RULE), self._args.region
        account_id = self._args.naming.account_id
        return aws.lambda_.Permission(
            f"{self._name}-batch-permission",
            statement_id="batch",
            action="lambda:InvokeFunction",
            function=function.function_arn,
            principal=IOT_SERVICE,
            region=region,
            source_account=account_id,
            source_arn=account_id.apply(lambda known: arns.topic_rule(rule, region=region, account_id=known)),
            opts=pulumi.ResourceOptions(parent=self),
        )
