"""What every Lambda function of ours may do: write its own log, and publish metrics in our namespace."""

from components.policies import arns
from components.policies.statement import Statement, allow

METRIC_NAMESPACE = "Flotilla"
"""The CloudWatch namespace of every metric the functions publish."""


def write_own_log(function: str, *, region: str, account_id: str) -> Statement:
    """Write streams in the function's log group, which this program makes: functions create no group."""
    group = arns.log_group(f"/aws/lambda/{function}", region=region, account_id=account_id)
    return allow("WriteOwnLog", ["logs:CreateLogStream", "logs:PutLogEvents"], [group])


def publish_metrics() -> Statement:
    """Publish metrics. PutMetricData knows no resources, so the namespace is the limit AWS offers."""
    condition = {"StringEquals": {"cloudwatch:namespace": METRIC_NAMESPACE}}
    return allow("PublishMetrics", ["cloudwatch:PutMetricData"], ["*"], condition=condition)
