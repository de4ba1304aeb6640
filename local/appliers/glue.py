"""AWS Glue's data catalogue."""

from typing import Any

from local.appliers.applier import Answer, Applier, Request, gone
from local.appliers.shape import pascal


def _create_database(request: Request) -> Answer:
    name = request.physical_name()
    tags = {str(key): str(value) for key, value in request.inputs.get("tags", {}).items()}
    request.client("glue").create_database(DatabaseInput=_database(request), Tags=tags)
    arn = f"arn:aws:glue:{request.region}:{request.cloud.account}:database/{name}"
    return Answer(name, {"arn": arn, "name": name})


def _update_database(request: Request, former: Answer) -> Answer:
    request.client("glue").update_database(Name=former.id, DatabaseInput=_database(request))
    return former


def _delete_database(request: Request, former: Answer) -> None:
    gone(lambda: request.client("glue").delete_database(Name=former.id))


def _database(request: Request) -> dict[str, Any]:
    return {"Name": request.physical_name(), "Description": request.inputs.get("description", "")}


def _create_table(request: Request) -> Answer:
    name, database = request.physical_name(), request.inputs["databaseName"]
    request.client("glue").create_table(DatabaseName=database, TableInput=_table(request))
    arn = f"arn:aws:glue:{request.region}:{request.cloud.account}:table/{database}/{name}"
    return Answer(f"{request.cloud.account}:{database}:{name}", {"arn": arn, "name": name})


def _update_table(request: Request, former: Answer) -> Answer:
    request.client("glue").update_table(DatabaseName=request.inputs["databaseName"], TableInput=_table(request))
    return former


def _delete_table(request: Request, former: Answer) -> None:
    database, name = request.inputs["databaseName"], former.outputs["name"]
    gone(lambda: request.client("glue").delete_table(DatabaseName=database, Name=name))


def _table(request: Request) -> dict[str, Any]:
    inputs = request.inputs
    stored = inputs["storageDescriptor"]
    return {
        "Name": request.physical_name(),
        "Description": inputs.get("description", ""),
        "TableType": inputs["tableType"],
        "Parameters": dict(inputs["parameters"]),
        "PartitionKeys": pascal(inputs["partitionKeys"]),
        "StorageDescriptor": {
            "Location": stored["location"],
            "InputFormat": stored["inputFormat"],
            "OutputFormat": stored["outputFormat"],
            "SerdeInfo": pascal(stored["serDeInfo"]),
            "Columns": pascal(stored["columns"]),
        },
    }


APPLIERS = {
    "aws:glue/catalogDatabase:CatalogDatabase": Applier(_create_database, _delete_database, _update_database),
    "aws:glue/catalogTable:CatalogTable": Applier(
        _create_table, _delete_table, _update_table, fixed=("name", "databaseName", "region")
    ),
}
