"""AWS Lambda: the very archives `make functions` built, run by the embedded cloud in a process of its own."""

import base64
import hashlib
from typing import Any

from local.appliers.applier import Answer, Applier, Request, gone, settings
from local.appliers.shape import chosen, pascal
from local.archives import archive_path
from local.wire import ARCHIVE


def _code(request: Request) -> bytes:
    """The archive's bytes; `FileNotFoundError` says how to build it."""
    archive = request.inputs.get("code", {}).get(ARCHIVE)
    if not isinstance(archive, str):
        raise TypeError("the code of a function is one archive file: pulumi.FileArchive(path)")
    path = archive_path(archive, request.cloud.project_root)
    if not path.is_file():
        raise FileNotFoundError(f"the archive {archive} is not there; build it with: make functions")
    return path.read_bytes()


def _settings(request: Request) -> dict[str, Any]:
    inputs = request.inputs
    shaped: dict[str, Any] = {
        "Role": inputs["role"],
        "Handler": inputs["handler"],
        "Runtime": inputs["runtime"],
        "Timeout": inputs.get("timeout", 3),
        "MemorySize": inputs.get("memorySize", 128),
        "Description": inputs.get("description", ""),
        "Environment": {"Variables": dict(inputs.get("environment", {}).get("variables", {}))},
    }
    for key in ("deadLetterConfig", "tracingConfig", "ephemeralStorage"):
        if key in inputs:
            shaped[key[0].upper() + key[1:]] = pascal(inputs[key])
    if "loggingConfig" in inputs:
        shaped["LoggingConfig"] = pascal(inputs["loggingConfig"])
    return shaped


def _create_function(request: Request) -> Answer:
    name, code = request.physical_name(), _code(request)
    functions = request.client("lambda")
    created = functions.create_function(
        FunctionName=name,
        Code={"ZipFile": code},
        Architectures=request.inputs.get("architectures", ["x86_64"]),
        Tags=dict(request.inputs.get("tags", {})),
        **_settings(request),
    )
    functions.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    _reserve(request, name)
    return _function(request, name, created["FunctionArn"], code)


def _update_function(request: Request, former: Answer) -> Answer:
    code, functions = _code(request), request.client("lambda")
    updated = functions.get_waiter("function_updated_v2")
    functions.update_function_code(FunctionName=former.id, ZipFile=code)
    updated.wait(FunctionName=former.id, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    functions.update_function_configuration(FunctionName=former.id, **_settings(request))
    updated.wait(FunctionName=former.id, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    _reserve(request, former.id)
    return _function(request, former.id, former.outputs["arn"], code)


def _reserve(request: Request, name: str) -> None:
    reserved = request.inputs.get("reservedConcurrentExecutions", -1)
    if reserved >= 0:
        request.client("lambda").put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=reserved)


def _function(request: Request, name: str, arn: str, code: bytes) -> Answer:
    digest = base64.b64encode(hashlib.sha256(code).digest()).decode()
    invoke = f"arn:aws:apigateway:{request.region}:lambda:path/2015-03-31/functions/{arn}/invocations"
    outputs = {"arn": arn, "name": name, "invokeArn": invoke, "qualifiedArn": f"{arn}:$LATEST", "version": "$LATEST"}
    return Answer(name, {**outputs, "sourceCodeHash": digest, "codeSha256": digest})


def _delete_function(request: Request, former: Answer) -> None:
    gone(lambda: request.client("lambda").delete_function(FunctionName=former.id))


def _add_permission(request: Request) -> Answer:
    inputs, statement = request.inputs, request.physical_name("statementId")
    extra = {
        name: inputs[key]
        for key, name in (("sourceArn", "SourceArn"), ("sourceAccount", "SourceAccount"))
        if inputs.get(key)
    }
    request.client("lambda").add_permission(
        FunctionName=inputs["function"],
        StatementId=statement,
        Action=inputs["action"],
        Principal=inputs["principal"],
        **extra,
    )
    return Answer(statement, {"statementId": statement, "function": inputs["function"]})


def _remove_permission(request: Request, former: Answer) -> None:
    function = former.outputs["function"]
    gone(lambda: request.client("lambda").remove_permission(FunctionName=function, StatementId=former.id))


def _put_retries(request: Request) -> Answer:
    inputs = request.inputs
    extra: dict[str, Any] = {}
    if "maximumRetryAttempts" in inputs:
        extra["MaximumRetryAttempts"] = inputs["maximumRetryAttempts"]
    if inputs.get("maximumEventAgeInSeconds"):
        extra["MaximumEventAgeInSeconds"] = inputs["maximumEventAgeInSeconds"]
    if inputs.get("destinationConfig"):
        extra["DestinationConfig"] = pascal(inputs["destinationConfig"])
    request.client("lambda").put_function_event_invoke_config(FunctionName=inputs["functionName"], **extra)
    return Answer(inputs["functionName"], {})


def _delete_retries(request: Request, former: Answer) -> None:
    gone(lambda: request.client("lambda").delete_function_event_invoke_config(FunctionName=former.id))


_MAPPING = {
    "batchSize": "BatchSize",
    "bisectBatchOnFunctionError": "BisectBatchOnFunctionError",
    "maximumBatchingWindowInSeconds": "MaximumBatchingWindowInSeconds",
    "maximumRecordAgeInSeconds": "MaximumRecordAgeInSeconds",
    "maximumRetryAttempts": "MaximumRetryAttempts",
    "parallelizationFactor": "ParallelizationFactor",
}


def _mapping(request: Request) -> dict[str, Any]:
    inputs = request.inputs
    shaped = {"FunctionName": inputs["functionName"], **chosen(inputs, _MAPPING)}
    failure = inputs.get("destinationConfig", {}).get("onFailure")
    return shaped | (
        {"DestinationConfig": {"OnFailure": {"Destination": failure["destinationArn"]}}} if failure else {}
    )


def _create_mapping(request: Request) -> Answer:
    created = request.client("lambda").create_event_source_mapping(
        EventSourceArn=request.inputs["eventSourceArn"],
        StartingPosition=request.inputs["startingPosition"],
        Enabled=request.inputs.get("enabled", True),
        **_mapping(request),
    )
    gaps = ("batches do not gather: the function is called as soon as there is one", "no letter after the last retry")
    return Answer(created["UUID"], {"uuid": created["UUID"]}, gaps)


def _update_mapping(request: Request, former: Answer) -> Answer:
    request.client("lambda").update_event_source_mapping(UUID=former.id, **_mapping(request))
    return former


def _delete_mapping(request: Request, former: Answer) -> None:
    gone(lambda: request.client("lambda").delete_event_source_mapping(UUID=former.id))


APPLIERS = {
    "aws:lambda/function:Function": Applier(
        _create_function, _delete_function, _update_function, fixed=("name", "region", "architectures")
    ),
    "aws:lambda/permission:Permission": Applier(_add_permission, _remove_permission),
    "aws:lambda/eventSourceMapping:EventSourceMapping": Applier(
        _create_mapping, _delete_mapping, _update_mapping, fixed=("eventSourceArn", "startingPosition", "region")
    ),
    "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig": settings(
        _put_retries, _delete_retries, fixed=("functionName", "region")
    ),
}
