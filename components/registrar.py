"""Just-in-time registration of one cluster (design decision 6): only a certificate the factory stands by gets in.

AWS IoT announces an unknown certificate of a registered CA; a topic rule hands it to the registrar function, which
looks it up in the manifest table, makes the thing and activates the certificate. Everything else stays inactive.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.dead_letter_queue import DeadLetterQueue, DeadLetterQueueArgs
from components.function import Function, FunctionArgs
from components.naming import Naming
from components.policies.registrar import registrar_policy
from components.policies.trust import IOT_SERVICE
from protocol.admission import MANIFEST_DEVICE_INDEX, MANIFEST_DEVICE_KEY, MANIFEST_KEY

REGISTERED_TOPIC = "$aws/events/certificates/registered"
"""AWS IoT announces `PENDING_ACTIVATION` here, below it one topic a CA certificate id (AWS IoT Developer Guide)."""
SQL_VERSION = "2016-03-23"  # the current rules engine


@dataclass(frozen=True, kw_only=True)
class RegistrarArgs:
    """One cluster, its authorities, and what an admitted device gets."""

    naming: Naming
    cluster: str
    region: str
    ca_certificate_ids: Mapping[str, pulumi.Input[str]]
    """Authority to the id of its CA in this region; only authorities that have a certificate."""
    device_policy_name: pulumi.Input[str]


class Registrar(pulumi.ComponentResource):
    """The manifest table, the function that decides by it, and a rule for every authority."""

    table_name: str
    table_arn: pulumi.Output[str]
    function_name: str
    dead_letter_queue_name: str
    rule_names: dict[str, str]
    """What each rule takes, in a word or two, to its name."""

    def __init__(self, name: str, args: RegistrarArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("flotilla:index:Registrar", name, None, opts)
        self._name, self._args = name, args
        self._tags = args.naming.tags(name)
        self.table_name = args.naming.name("manifest")
        self.rule_names = {
            _thing(authority): args.naming.rule(_thing(authority)) for authority in args.ca_certificate_ids
        }
        table = self._table()
        self.table_arn = table.arn
        queue = DeadLetterQueue(
            f"{name}-dead-letters",
            DeadLetterQueueArgs(
                naming=args.naming, tags=self._tags, cluster=args.cluster, region=args.region, thing="registrar"
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.dead_letter_queue_name = queue.queue_name
        function = Function(
            f"{name}-admission",
            FunctionArgs(
                naming=args.naming,
                tags=self._tags,
                cluster=args.cluster,
                region=args.region,
                module="registrar",
                description="Admits device certificates that stand in the manifest",
                environment={
                    "MANIFEST_TABLE": self.table_name,
                    "DEVICE_POLICY": args.device_policy_name,
                    "ENVIRONMENT": args.naming.environment,
                },
                policy=registrar_policy,
                policy_inputs={"table_arn": table.arn, "dead_letter_queue_arn": queue.queue_arn},
                dead_letter_queue_arn=queue.queue_arn,
            ),
            pulumi.ResourceOptions(parent=self),
        )
        self.function_name = function.function_name
        for authority, certificate_id in sorted(args.ca_certificate_ids.items()):
            self._rule(authority, certificate_id, function, queue)
        self.register_outputs({"table_name": self.table_name, "function_name": self.function_name})

    def _table(self) -> aws.dynamodb.Table:
        """What the factory says of every identity. Lost, no device could register; so it is kept in every way."""
        return aws.dynamodb.Table(
            f"{self._name}-manifest",
            name=self.table_name,
            region=self._args.region,
            billing_mode="PAY_PER_REQUEST",
            hash_key=MANIFEST_KEY,
            attributes=[
                aws.dynamodb.TableAttributeArgs(name=MANIFEST_KEY, type="S"),
                aws.dynamodb.TableAttributeArgs(name=MANIFEST_DEVICE_KEY, type="S"),
            ],
            global_secondary_indexes=[
                aws.dynamodb.TableGlobalSecondaryIndexArgs(
                    name=MANIFEST_DEVICE_INDEX,
                    key_schemas=[
                        aws.dynamodb.TableGlobalSecondaryIndexKeySchemaArgs(
                            attribute_name=MANIFEST_DEVICE_KEY, key_type="HASH"
                        )
                    ],
                    projection_type="ALL",
                )
            ],
            point_in_time_recovery=aws.dynamodb.TablePointInTimeRecoveryArgs(enabled=True),
            server_side_encryption=aws.dynamodb.TableServerSideEncryptionArgs(enabled=True),
            deletion_protection_enabled=self._args.naming.protects,
            tags=self._tags,
            opts=pulumi.ResourceOptions(parent=self, protect=self._args.naming.protects),
        )

    def _rule(
        self, authority: str, certificate_id: pulumi.Input[str], function: Function, queue: DeadLetterQueue
    ) -> None:
        """From the announcement of one CA's certificates to the function, and nobody else may call it that way."""
        error_action = aws.iot.TopicRuleErrorActionArgs(
            sqs=aws.iot.TopicRuleErrorActionSqsArgs(
                queue_url=queue.queue_url, role_arn=queue.error_action_role_arn, use_base64=False
            )
        )
        rule = aws.iot.TopicRule(
            f"{self._name}-{authority}-rule",
            name=self.rule_names[_thing(authority)],
            description=f"New certificates of authority {authority} go to the registrar",
            region=self._args.region,
            enabled=True,
            sql=pulumi.Output.concat("SELECT * FROM '", REGISTERED_TOPIC, "/", certificate_id, "'"),
            sql_version=SQL_VERSION,
            lambdas=[aws.iot.TopicRuleLambdaArgs(function_arn=function.function_arn)],
            error_action=error_action,
            tags=self._tags,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[queue.permission]),
        )
        aws.lambda_.Permission(
            f"{self._name}-{authority}-permission",
            statement_id=f"registered-{authority}",
            action="lambda:InvokeFunction",
            function=function.function_arn,
            region=self._args.region,
            principal=IOT_SERVICE,
            source_account=self._args.naming.account_id,
            source_arn=rule.arn,
            opts=pulumi.ResourceOptions(parent=self),
        )


def _thing(authority: str) -> str:
    return f"registered-{authority}"
