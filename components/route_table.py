"""The truth about where devices are sent that are not pinned (design decision 5); the zone is its projection."""

import json
from collections.abc import Iterable
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.naming import Naming
from protocol.routes import DEVICE_KEY, EXPIRES_KEY, EXPIRING_KEY, EXPIRY_INDEX, PINS, PINS_KEY, REVISION_KEY


@dataclass(frozen=True, kw_only=True)
class RouteTableArgs:
    """One table an environment, beside its zone."""

    naming: Naming
    home_region: str
    pins: Iterable[str] = ()
    """Devices whose names the program owns itself; the sweep function reads of them in the table."""


class RouteTable(pulumi.ComponentResource):
    """Routes, their whole history, and the journal of plans that are being applied."""

    table_name: str
    table_arn: pulumi.Output[str]

    def __init__(self, name: str, args: RouteTableArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("flotilla:index:RouteTable", name, None, opts)
        self.table_name = args.naming.name("routes")
        table = aws.dynamodb.Table(
            f"{name}-table",
            name=self.table_name,
            region=args.home_region,
            billing_mode="PAY_PER_REQUEST",
            hash_key=DEVICE_KEY,
            range_key=REVISION_KEY,
            attributes=[
                aws.dynamodb.TableAttributeArgs(name=DEVICE_KEY, type="S"),
                aws.dynamodb.TableAttributeArgs(name=REVISION_KEY, type="N"),
                aws.dynamodb.TableAttributeArgs(name=EXPIRING_KEY, type="S"),
                aws.dynamodb.TableAttributeArgs(name=EXPIRES_KEY, type="S"),
            ],
            global_secondary_indexes=[
                aws.dynamodb.TableGlobalSecondaryIndexArgs(
                    name=EXPIRY_INDEX,
                    key_schemas=[
                        aws.dynamodb.TableGlobalSecondaryIndexKeySchemaArgs(
                            attribute_name=EXPIRING_KEY, key_type="HASH"
                        ),
                        aws.dynamodb.TableGlobalSecondaryIndexKeySchemaArgs(
                            attribute_name=EXPIRES_KEY, key_type="RANGE"
                        ),
                    ],
                    projection_type="ALL",
                )
            ],
            point_in_time_recovery=aws.dynamodb.TablePointInTimeRecoveryArgs(enabled=True),
            server_side_encryption=aws.dynamodb.TableServerSideEncryptionArgs(enabled=True),
            deletion_protection_enabled=args.naming.protects,
            tags=args.naming.tags(name),
            opts=pulumi.ResourceOptions(parent=self, protect=args.naming.protects),
        )
        aws.dynamodb.TableItem(
            f"{name}-pins",
            table_name=table.name,
            hash_key=DEVICE_KEY,
            range_key=REVISION_KEY,
            region=args.home_region,
            item=json.dumps(
                {
                    DEVICE_KEY: {"S": PINS_KEY},
                    REVISION_KEY: {"N": "0"},
                    PINS: {"L": [{"S": device} for device in sorted(args.pins)]},
                }
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.table_arn = table.arn
        self.register_outputs({"table_name": self.table_name, "table_arn": self.table_arn})
