"""The alarms of one cluster: which metric, over which time, from which value, and what silence means.

Plain values, so that every choice is read and tested in one place. Names of metrics and dimensions: AWS IoT Developer
Guide, "Metrics and dimensions"; Amazon SQS and AWS Lambda developer guides, "CloudWatch metrics".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from components.policies.function import METRIC_NAMESPACE
from stacks.environment import AlarmThresholds

PERIOD_SECONDS = 300  # the stack file counts per five minutes
DAY_SECONDS = 24 * 3600
DAYS_OF_SILENCE = 2
"""How long the daily count of a CA's days may fail to come; one late run is not worth a call."""
OVERDUE_ROUTES = 1
"""An expired redirect that still stands is a device where nobody watches it any more."""
OVERDUE_PERIODS = 3
"""Three sweeps had their chance: a person who applies a plan holds the zone for some minutes, and that is no fault."""
LATE_MINUTES = 30
"""Batches gather for five minutes; a failed invocation is tried again within the next ones."""
STREAM_REFUSALS = 1
"""A record that a stream refused was tried again by AWS IoT for seconds, and is a dead letter then."""
FUNCTION_ERRORS = 1
"""A handler of ours catches what a device can cause, so that one error left is a fault of ours or of AWS."""

Silence = Literal["notBreaching", "breaching"]
"""What missing data means: nothing happened, or the watchman is dead."""


@dataclass(frozen=True, kw_only=True)
class Watched:
    """What runs in one cluster. Every mapping: a word or two for it, to its physical name."""

    cluster: str
    region: str
    rules: Mapping[str, str]
    functions: Mapping[str, str]
    queues: Mapping[str, str]
    authorities: tuple[str, ...]
    """Issuing authorities that have a CA certificate here."""
    streams: Mapping[str, str] = field(default_factory=dict)
    """Where a rule does not call a function: the rule's word to the stream it puts its messages into. The function
    that reads a stream is called `ingest` in `functions`."""
    sweeps_routes: bool = False
    """Whether the environment's expired routes are taken back from here."""

    def action_type(self, rule: str) -> str:
        """How AWS IoT names what the rule does, as a dimension of its metrics."""
        return "Kinesis" if rule in self.streams else "Lambda"


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """One alarm on one metric."""

    thing: str
    """Part of its name."""
    description: str
    namespace: str
    metric: str
    dimensions: Mapping[str, str]
    statistic: Literal["Sum", "Maximum", "Minimum"]
    comparison: Literal["GreaterThanOrEqualToThreshold", "LessThanThreshold"]
    threshold: int
    silence: Silence
    period_seconds: int = PERIOD_SECONDS
    periods: int = 1


def cluster_alarms(watched: Watched, thresholds: AlarmThresholds, *, environment: str) -> tuple[Alarm, ...]:
    """Every alarm of a cluster."""
    return (
        *(
            alarm
            for label, rule in watched.rules.items()
            for alarm in _rule(label, rule, watched, thresholds.rule_errors)
        ),
        *(alarm for label, stream in watched.streams.items() for alarm in _stream(label, stream, watched)),
        _registrations_refused(environment, thresholds.registrations_refused),
        *(_dead_letters(label, queue, thresholds.dead_letters_waiting) for label, queue in watched.queues.items()),
        *(_function_errors(label, function) for label, function in watched.functions.items()),
        *(_authority(name, environment, thresholds.authority_expiry_days) for name in watched.authorities),
        *([_routes_overdue(environment)] if watched.sweeps_routes else []),
    )


def _rule(label: str, rule: str, watched: Watched, threshold: int) -> tuple[Alarm, Alarm]:
    """A rule whose action failed, and one AWS IoT held back: either way messages were not delivered."""
    goes_to = "stream" if label in watched.streams else "function"
    return (
        _count(
            f"rule-{label}-failed",
            f"Topic rule {rule} could not hand messages to its {goes_to}; they are in the dead letter queue.",
            ("AWS/IoT", "Failure", {"RuleName": rule, "ActionType": watched.action_type(label)}),
            threshold,
        ),
        _count(
            f"rule-{label}-throttled",
            f"AWS IoT throttled topic rule {rule}; messages were lost. Ask for a higher quota or move devices.",
            ("AWS/IoT", "RuleMessageThrottled", {"RuleName": rule}),
            threshold,
        ),
    )


def _stream(label: str, stream: str, watched: Watched) -> tuple[Alarm, Alarm]:
    """What lies in a stream too long, since its reader fails or is too slow, and what it could not take."""
    return (
        _count(
            f"{label}-stream-late",
            f"Records wait in {stream} for longer than {LATE_MINUTES} minutes: its reader fails, or is too slow.",
            ("AWS/Lambda", "IteratorAge", {"FunctionName": watched.functions["ingest"]}),
            LATE_MINUTES * 60 * 1000,
            statistic="Maximum",
        ),
        _count(
            f"{label}-stream-full",
            f"{stream} refused records since it did not grow fast enough; they are in the dead letter queue.",
            ("AWS/Kinesis", "WriteProvisionedThroughputExceeded", {"StreamName": stream}),
            STREAM_REFUSALS,
        ),
    )


def _registrations_refused(environment: str, threshold: int) -> Alarm:
    return _count(
        "registrations-refused",
        "Certificates of our CAs were refused: the manifest is not synced, or somebody signs without the factory.",
        (METRIC_NAMESPACE, "RegistrationsRefused", {"Environment": environment}),
        threshold,
    )


def _dead_letters(label: str, queue: str, threshold: int) -> Alarm:
    return _count(
        f"{label}-dead-letters",
        f"Messages wait in {queue}; each says why. A batch can be delivered again, so it is late and not lost.",
        ("AWS/SQS", "ApproximateNumberOfMessagesVisible", {"QueueName": queue}),
        threshold,
        statistic="Maximum",
    )


def _function_errors(label: str, function: str) -> Alarm:
    return _count(
        f"{label}-errors",
        f"Function {function} failed; its log says why.",
        ("AWS/Lambda", "Errors", {"FunctionName": function}),
        FUNCTION_ERRORS,
    )


def _routes_overdue(environment: str) -> Alarm:
    """Rings while an expired route stands, and when nobody counts them: a sweep that stopped must not look like peace.

    A new environment rings until its first count, within minutes of the deployment.
    """
    return Alarm(
        thing="routes-overdue",
        description="Redirects have expired and still stand, or nobody sweeps: see the log of route-sweep.",
        namespace=METRIC_NAMESPACE,
        metric="RoutesOverdue",
        dimensions={"Environment": environment},
        statistic="Minimum",
        comparison="GreaterThanOrEqualToThreshold",
        threshold=OVERDUE_ROUTES,
        silence="breaching",
        periods=OVERDUE_PERIODS,
    )


def _authority(authority: str, environment: str, days: int) -> Alarm:
    """Rings below `days`, and when the count stops coming: a watchman that died must not look like a long life.

    A new authority rings until its first count, within a day of the deployment.
    """
    return Alarm(
        thing=f"authority-{authority}-expiring",
        description=f"The CA certificate of authority {authority} has fewer than {days} days, or nobody counts them.",
        namespace=METRIC_NAMESPACE,
        metric="AuthorityDaysLeft",
        dimensions={"Environment": environment, "Authority": authority},
        statistic="Minimum",
        comparison="LessThanThreshold",
        threshold=days,
        silence="breaching",
        period_seconds=DAY_SECONDS,
        periods=DAYS_OF_SILENCE,
    )


def _count(
    thing: str,
    description: str,
    metric: tuple[str, str, Mapping[str, str]],
    threshold: int,
    *,
    statistic: Literal["Sum", "Maximum"] = "Sum",
) -> Alarm:
    """Something bad, counted; AWS publishes no zeros for it, so that silence is good news."""
    namespace, name, dimensions = metric
    return Alarm(
        thing=thing,
        description=description,
        namespace=namespace,
        metric=name,
        dimensions=dimensions,
        statistic=statistic,
        comparison="GreaterThanOrEqualToThreshold",
        threshold=threshold,
        silence="notBreaching",
    )
