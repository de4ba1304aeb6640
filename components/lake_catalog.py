"""The lake as tables that Athena and whatever else reads Glue's catalogue can ask, without a crawler.

Where files lie follows from day and model, so the tables compute it (partition projection): a file is there to be asked
for as soon as it is written, and nobody registers anything. The columns are those of `protocol.lake`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.naming import Naming
from protocol.lake import COLUMNS, PREFIX, UNKNOWN, Kind, day_prefix

DATABASE = "lake"
TABLE = "measurements"
UNKNOWN_DAY_TABLE = "measurements_of_unknown_day"
"""What no day can be given to: `unknown` is no date, and a table's days are projected as dates."""
FIRST_DAY = "2026-01-01"
"""No device of ours measured before; what a projection spans costs a listing a day only where nobody names the days."""

TYPES: Mapping[Kind, str] = {"text": "string", "integer": "bigint", "number": "double", "moment": "timestamp"}
"""Of Hive, as Athena reads them from Parquet (Amazon Athena User Guide, "Data types")."""
_INPUT = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat"
_OUTPUT = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat"
_SERDE = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"

_BY_DAY = {
    "projection.day.type": "date",
    "projection.day.format": "yyyy-MM-dd",
    # Until tomorrow: a clock may be ten minutes ahead of midnight.
    "projection.day.range": f"{FIRST_DAY},NOW+1DAYS",
    "projection.day.interval": "1",
    "projection.day.interval.unit": "DAYS",
}
"""Amazon Athena User Guide, "Supported types for partition projection"."""


@dataclass(frozen=True, kw_only=True)
class LakeCatalogArgs:
    """Which lake, and whose models."""

    naming: Naming
    tags: dict[str, str]
    region: str
    bucket: pulumi.Input[str]
    models: Sequence[str]
    """Whose measurements can be asked for; a model that is not named lies in the lake and in no table."""


class LakeCatalog(pulumi.ComponentResource):
    """A database, the table of measurements, and that of measurements whose day is unknown."""

    database_name: str

    def __init__(self, name: str, args: LakeCatalogArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("flotilla:index:LakeCatalog", name, None, opts)
        self._name, self._args = name, args
        # Athena takes no hyphen in a name without quotes.
        self.database_name = args.naming.name(DATABASE).replace("-", "_")
        database = aws.glue.CatalogDatabase(
            f"{name}-database",
            name=self.database_name,
            description="What devices measured",
            region=args.region,
            tags=args.tags,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self._table(database, TABLE, PREFIX, ("day", "model"), _BY_DAY)
        self._table(database, UNKNOWN_DAY_TABLE, day_prefix(None), ("model",), {})
        self.register_outputs({"database_name": self.database_name})

    def _table(
        self,
        database: aws.glue.CatalogDatabase,
        table: str,
        prefix: str,
        partitions: Sequence[str],
        projected: Mapping[str, str],
    ) -> None:
        """A table over what lies below `prefix`, by these partitions; their values are text."""
        location = pulumi.Output.concat("s3://", self._args.bucket, "/", prefix)
        below = "".join(f"{each}=${{{each}}}/" for each in partitions)
        aws.glue.CatalogTable(
            f"{self._name}-{table.replace('_', '-')}",
            name=table,
            database_name=database.name,
            description="Each reading at least once; fold by device, epoch, sequence and channel (docs/lake.md)",
            table_type="EXTERNAL_TABLE",
            parameters={
                "classification": "parquet",
                "projection.enabled": "true",
                **projected,
                "projection.model.type": "enum",
                "projection.model.values": ",".join([*sorted(self._args.models), UNKNOWN]),
                "storage.location.template": location.apply(lambda known: known + below),
            },
            partition_keys=[aws.glue.CatalogTablePartitionKeyArgs(name=each, type="string") for each in partitions],
            storage_descriptor=aws.glue.CatalogTableStorageDescriptorArgs(
                location=location,
                input_format=_INPUT,
                output_format=_OUTPUT,
                ser_de_info=aws.glue.CatalogTableStorageDescriptorSerDeInfoArgs(serialization_library=_SERDE),
                columns=[
                    aws.glue.CatalogTableStorageDescriptorColumnArgs(name=column, type=TYPES[kind])
                    for column, kind in COLUMNS.items()
                ],
            ),
            region=self._args.region,
            opts=pulumi.ResourceOptions(parent=self),
        )
