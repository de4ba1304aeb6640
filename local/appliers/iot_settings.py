"""The settings of AWS IoT Core that a region has once."""

from typing import Any

from local.appliers.applier import Answer, Request, attempt, keep, settings


def _put_events(request: Request) -> Answer:
    wanted = request.inputs["eventConfigurations"]
    request.client("iot").update_event_configurations(
        eventConfigurations={name: {"Enabled": enabled} for name, enabled in wanted.items()}
    )
    return Answer(request.region, {})


def _put_indexing(request: Request) -> Answer:
    configurations = {
        key: _renamed(request.inputs[key])
        for key in ("thingIndexingConfiguration", "thingGroupIndexingConfiguration")
        if key in request.inputs
    }
    request.client("iot").update_indexing_configuration(**configurations)
    return Answer(request.region, {})


def _renamed(configuration: Any) -> dict[str, Any]:
    """Two lists have a name of their own in Pulumi; the filter's list of shadow names too."""
    shaped = dict(configuration)
    if "filter" in shaped:
        shaped["filter"] = {"namedShadowNames": shaped["filter"].get("namedShadowNames", [])}
    return shaped


def _put_logging(request: Request) -> Answer:
    options: dict[str, Any] = {"defaultLogLevel": request.inputs["defaultLogLevel"]}
    options["disableAllLogs"] = request.inputs.get("disableAllLogs", False)
    if request.inputs.get("roleArn"):
        options["roleArn"] = request.inputs["roleArn"]
    gaps = attempt(
        "IoT logging options: AWS IoT writes no log here",
        lambda: request.client("iot").set_v2_logging_options(**options),
    )
    return Answer(request.region, {}, gaps)


APPLIERS = {
    "aws:iot/eventConfigurations:EventConfigurations": settings(_put_events, keep),
    "aws:iot/indexingConfiguration:IndexingConfiguration": settings(_put_indexing, keep),
    "aws:iot/loggingOptions:LoggingOptions": settings(_put_logging, keep),
}
