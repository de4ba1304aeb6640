"""Who is told when something is wrong: a topic and alarms in every cluster region, one dashboard over all of them.

A person subscribes to the topics; subscriptions are not part of the program, since an address must be confirmed.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

import pulumi
import pulumi_aws as aws

from components.alarms import Alarm, Watched, cluster_alarms
from components.dashboard import dashboard_body
from components.expiry_watch import ExpiryWatch, ExpiryWatchArgs
from components.naming import Naming
from components.policies.monitoring import alarm_key_policy, alarm_topic_policy
from components.policy_text import policy_text
from stacks.environment import AlarmThresholds

KEY_DELETION_DAYS = 7  # KMS: the shortest waiting period; the key protects nothing that is kept


@dataclass(frozen=True, kw_only=True)
class MonitoringArgs:
    """What to watch, and from when on to tell somebody."""

    naming: Naming
    home_region: str
    """Where the dashboard is."""
    thresholds: AlarmThresholds
    clusters: Mapping[str, Watched]
    ca_certificate_ids: Mapping[str, Mapping[str, pulumi.Input[str]]]
    """Cluster to authority to the id of its CA there."""


class Monitoring(pulumi.ComponentResource):
    """Topics, alarms, the watch over CA certificates, and the dashboard."""

    topic_arns: dict[str, pulumi.Output[str]]
    """By cluster."""

    def __init__(self, name: str, args: MonitoringArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("flotilla:index:Monitoring", name, None, opts)
        self._name, self._args = name, args
        self._tags = args.naming.tags(name)
        self.topic_arns = {}
        watched = [self._with_expiry_watch(one) for one in args.clusters.values()]
        for one in watched:
            topic = self.topic_arns[one.cluster] = self._topic(one)
            for alarm in cluster_alarms(one, args.thresholds, environment=args.naming.environment):
                self._alarm(one, alarm, topic)
        aws.cloudwatch.Dashboard(
            f"{name}-dashboard",
            dashboard_name=args.naming.name("fleet"),
            region=args.home_region,
            dashboard_body=json.dumps(dashboard_body(args.naming.environment, watched)),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({"topic_arns": self.topic_arns})

    def _with_expiry_watch(self, watched: Watched) -> Watched:
        """The watch itself, and the cluster with it among what is watched."""
        watch = ExpiryWatch(
            f"{self._name}-{watched.cluster}-expiry",
            ExpiryWatchArgs(
                naming=self._args.naming,
                tags=self._tags,
                cluster=watched.cluster,
                region=watched.region,
                ca_certificate_ids=self._args.ca_certificate_ids[watched.cluster],
            ),
            pulumi.ResourceOptions(parent=self),
        )
        return replace(watched, functions={**watched.functions, "authority-expiry": watch.function_name})

    def _topic(self, watched: Watched) -> pulumi.Output[str]:
        """An encrypted topic that alarms of this account may publish to."""
        prefix, account_id = f"{self._name}-{watched.cluster}", self._args.naming.account_id
        child = pulumi.ResourceOptions(parent=self)
        key = aws.kms.Key(
            f"{prefix}-key",
            description=f"Flotilla {self._args.naming.environment}: alarms of {watched.cluster} on their way",
            region=watched.region,
            enable_key_rotation=True,
            deletion_window_in_days=KEY_DELETION_DAYS,
            policy=policy_text(alarm_key_policy, account_id=account_id),
            tags=self._tags,
            opts=child,
        )
        aws.kms.Alias(
            f"{prefix}-key-alias",
            name=f"alias/{self._args.naming.name('alarms')}",
            region=watched.region,
            target_key_id=key.key_id,
            opts=child,
        )
        topic = aws.sns.Topic(
            f"{prefix}-topic",
            name=self._args.naming.name("alarms"),
            region=watched.region,
            kms_master_key_id=key.arn,
            tags=self._tags,
            opts=child,
        )
        aws.sns.TopicPolicy(
            f"{prefix}-topic-policy",
            arn=topic.arn,
            region=watched.region,
            policy=policy_text(alarm_topic_policy, topic_arn=topic.arn, region=watched.region, account_id=account_id),
            opts=child,
        )
        return topic.arn

    def _alarm(self, watched: Watched, alarm: Alarm, topic_arn: pulumi.Output[str]) -> None:
        aws.cloudwatch.MetricAlarm(
            f"{self._name}-{watched.cluster}-{alarm.thing}",
            name=self._args.naming.name(alarm.thing),
            alarm_description=alarm.description,
            region=watched.region,
            namespace=alarm.namespace,
            metric_name=alarm.metric,
            dimensions=dict(alarm.dimensions),
            statistic=alarm.statistic,
            period=alarm.period_seconds,
            evaluation_periods=alarm.periods,
            comparison_operator=alarm.comparison,
            threshold=alarm.threshold,
            treat_missing_data=alarm.silence,
            alarm_actions=[topic_arn],
            ok_actions=[topic_arn],
            tags=self._tags,
            opts=pulumi.ResourceOptions(parent=self),
        )
