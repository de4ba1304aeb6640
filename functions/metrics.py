"""Counts that alarms and dashboards read, in CloudWatch's namespace `Flotilla`."""

from collections.abc import Mapping
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


def report(cloudwatch: "CloudWatchClient", *, environment: str, values: Mapping[str, int]) -> None:
    """Says how many there are of each metric, by environment; zero too, since silence is something else."""
    data = [_one(metric, {"Environment": environment}, value=value) for metric, value in values.items()]
    cloudwatch.put_metric_data(Namespace=NAMESPACE, MetricData=data)


def _one(metric: str, dimensions: dict[str, str], *, value: float = 1) -> "MetricDatumTypeDef":
    pairs: list[DimensionTypeDef] = [{"Name": name, "Value": each} for name, each in dimensions.items()]
    return {"MetricName": metric, "Value": float(value), "Unit": "Count", "Dimensions": pairs}
