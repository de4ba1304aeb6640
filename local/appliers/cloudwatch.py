"""Amazon CloudWatch: alarms and dashboards."""

import json

from local.appliers.applier import Answer, Request, gone, settings
from local.appliers.shape import chosen, pascal

_ALARM = {
    "comparisonOperator": "ComparisonOperator",
    "evaluationPeriods": "EvaluationPeriods",
    "alarmDescription": "AlarmDescription",
    "alarmActions": "AlarmActions",
    "okActions": "OKActions",
    "insufficientDataActions": "InsufficientDataActions",
    "actionsEnabled": "ActionsEnabled",
    "datapointsToAlarm": "DatapointsToAlarm",
    "metricName": "MetricName",
    "namespace": "Namespace",
    "period": "Period",
    "statistic": "Statistic",
    "extendedStatistic": "ExtendedStatistic",
    "threshold": "Threshold",
    "thresholdMetricId": "ThresholdMetricId",
    "treatMissingData": "TreatMissingData",
    "unit": "Unit",
}
_COMPOSITE = {
    key: _ALARM[key]
    for key in ("alarmDescription", "alarmActions", "okActions", "insufficientDataActions", "actionsEnabled")
}
_MATHS = "metric maths is stored, not evaluated: this alarm never rings"


def _put_alarm(request: Request) -> Answer:
    name = request.physical_name()
    dimensions = [{"Name": key, "Value": value} for key, value in sorted(request.inputs.get("dimensions", {}).items())]
    queries = [_query(query) for query in request.inputs.get("metricQueries", [])]
    request.client("cloudwatch").put_metric_alarm(
        AlarmName=name,
        **chosen(request.inputs, _ALARM),
        **({"Dimensions": dimensions} if dimensions else {}),
        **({"Metrics": queries} if queries else {}),
        **({"Tags": request.tags} if request.tags else {}),
    )
    return Answer(name, {"arn": _arn(request, name), "name": name}, (_MATHS,) if queries else ())


def _query(query: dict[str, object]) -> dict[str, object]:
    """A metric query; its `metric` is a MetricStat with the metric's own fields inside."""
    shaped: dict[str, object] = {key: value for key, value in pascal(query).items() if key != "Metric"}
    metric = query.get("metric")
    if isinstance(metric, dict):
        dimensions = [{"Name": key, "Value": value} for key, value in metric.get("dimensions", {}).items()]
        inner = {"MetricName": metric["metricName"], "Namespace": metric.get("namespace"), "Dimensions": dimensions}
        shaped["MetricStat"] = {"Metric": inner, "Period": metric["period"], "Stat": metric["stat"]}
    return shaped


def _put_composite_alarm(request: Request) -> Answer:
    name = request.physical_name("alarmName")
    request.client("cloudwatch").put_composite_alarm(
        AlarmName=name,
        AlarmRule=request.inputs["alarmRule"],
        **chosen(request.inputs, _COMPOSITE),
        **({"Tags": request.tags} if request.tags else {}),
    )
    return Answer(name, {"arn": _arn(request, name), "alarmName": name})


def _delete_alarm(request: Request, former: Answer) -> None:
    gone(lambda: request.client("cloudwatch").delete_alarms(AlarmNames=[former.id]))


def _put_dashboard(request: Request) -> Answer:
    name = request.physical_name("dashboardName")
    body = request.inputs["dashboardBody"]
    answer = request.client("cloudwatch").put_dashboard(
        DashboardName=name, DashboardBody=body if isinstance(body, str) else json.dumps(body)
    )
    if answer.get("DashboardValidationMessages"):
        raise ValueError(f"the dashboard's body is refused: {answer['DashboardValidationMessages']}")
    arn = f"arn:aws:cloudwatch::{request.cloud.account}:dashboard/{name}"
    return Answer(name, {"dashboardArn": arn, "dashboardName": name})


def _delete_dashboard(request: Request, former: Answer) -> None:
    gone(lambda: request.client("cloudwatch").delete_dashboards(DashboardNames=[former.id]))


def _arn(request: Request, name: str) -> str:
    return f"arn:aws:cloudwatch:{request.region}:{request.cloud.account}:alarm:{name}"


APPLIERS = {
    "aws:cloudwatch/metricAlarm:MetricAlarm": settings(_put_alarm, _delete_alarm, fixed=("name", "region")),
    "aws:cloudwatch/compositeAlarm:CompositeAlarm": settings(
        _put_composite_alarm, _delete_alarm, fixed=("alarmName", "region")
    ),
    "aws:cloudwatch/dashboard:Dashboard": settings(
        _put_dashboard, _delete_dashboard, fixed=("dashboardName", "region")
    ),
}
