"""The dashboard of an environment: one row a cluster, the same six graphs in each; routes are swept from one of them.

Format: CloudWatch API Reference, "Dashboard body structure and syntax". The grid is 24 units wide.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from components.alarms import DAY_SECONDS, PERIOD_SECONDS, Watched
from components.policies.function import METRIC_NAMESPACE

GRAPHS_IN_A_LINE = 3
GRAPH_WIDTH = 24 // GRAPHS_IN_A_LINE
GRAPH_HEIGHT = 6
TITLE_HEIGHT = 1

Metric = Sequence[str | Mapping[str, str]]


def dashboard_body(environment: str, clusters: Sequence[Watched]) -> dict[str, Any]:
    """The body for `clusters`, in their order; the same arguments give the same body."""
    widgets: list[dict[str, Any]] = []
    top = 0
    for watched in clusters:
        row = _row(environment, watched, top)
        widgets += row
        top = max(widget["y"] + widget["height"] for widget in row)
    return {"widgets": widgets}


def _row(environment: str, watched: Watched, top: int) -> list[dict[str, Any]]:
    ours = ["Environment", environment]
    graphs: list[tuple[str, str, int, Sequence[Metric]]] = [
        (
            "Batches",
            "Sum",
            PERIOD_SECONDS,
            [[METRIC_NAMESPACE, name, *ours] for name in ("BatchesStored", "BatchesRejected")],
        ),
        (
            "Registrations",
            "Sum",
            PERIOD_SECONDS,
            [[METRIC_NAMESPACE, name, *ours] for name in ("RegistrationsAdmitted", "RegistrationsRefused")],
        ),
        (
            "Connections",
            "Sum",
            PERIOD_SECONDS,
            [["AWS/IoT", name, "Protocol", "MQTT"] for name in ("Connect.Success", "Connect.AuthError")],
        ),
        (
            "Topic rules that failed",
            "Sum",
            PERIOD_SECONDS,
            [
                ["AWS/IoT", "Failure", "RuleName", rule, "ActionType", watched.action_type(label)]
                for label, rule in watched.rules.items()
            ],
        ),
        (
            "Dead letters waiting",
            "Maximum",
            PERIOD_SECONDS,
            [
                ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", queue]
                for queue in watched.queues.values()
            ],
        ),
        (
            "Days left of authorities",
            "Minimum",
            DAY_SECONDS,
            [[METRIC_NAMESPACE, "AuthorityDaysLeft", *ours, "Authority", name] for name in watched.authorities],
        ),
        (
            "Expired routes",
            "Maximum",
            PERIOD_SECONDS,
            [[METRIC_NAMESPACE, name, *ours] for name in ("RoutesSwept", "RoutesOverdue") if watched.sweeps_routes],
        ),
    ]
    title = {
        "type": "text",
        "x": 0,
        "y": top,
        "width": 24,
        "height": TITLE_HEIGHT,
        "properties": {"markdown": f"## {watched.cluster} ({watched.region})"},
    }
    shown = [graph for graph in graphs if graph[3]]
    return [title, *(_graph(graph, watched.region, place, top + TITLE_HEIGHT) for place, graph in enumerate(shown))]


def _graph(graph: tuple[str, str, int, Sequence[Metric]], region: str, place: int, top: int) -> dict[str, Any]:
    title, statistic, period, metrics = graph
    return {
        "type": "metric",
        "x": place % GRAPHS_IN_A_LINE * GRAPH_WIDTH,
        "y": top + place // GRAPHS_IN_A_LINE * GRAPH_HEIGHT,
        "width": GRAPH_WIDTH,
        "height": GRAPH_HEIGHT,
        "properties": {
            "title": title,
            "region": region,
            "view": "timeSeries",
            "stat": statistic,
            "period": period,
            "metrics": [list(metric) for metric in metrics],
        },
    }
