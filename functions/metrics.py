"""Counts that alarms and dashboards read, in CloudWatch's namespace `Flotilla`."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_cloudwatch.type_defs import DimensionTypeDef, MetricDatumTypeDef

NAMESPACE = "Flotilla"


def count(cloudwatch: "CloudWatchClient", *, environment: str, metric: str, reason: str | None = None) -> None:
    """Adds one to `metric`, by environment, which alarms watch, and also by `reason` where there is one."""
    data: list[MetricDatumTypeDef] = [_one(metric, {"Environment": environment})]
    if reason is not None:
        data.append(_one(metric, {"Environment": environment, "Reason": reason}))
    cloudwatch.put_metric_data(Namespace=NAMESPACE, MetricData=data)


def _one(metric: str, dimensions: dict[str, str]) -> "MetricDatumTypeDef":
    pairs: list[DimensionTypeDef] = [{"Name": name, "Value": value} for name, value in dimensions.items()]
    return {"MetricName": metric, "Value": 1.0, "Unit": "Count", "Dimensions": pairs}
