"""The applier of one deployment, on its real table and its real zone."""

import getpass
import socket
import time
from collections.abc import Callable
from datetime import datetime

from fleet.cloud import Cloud
from fleet.deployment import ground_of
from fleet.routing.applier import Applier
from fleet.routing.dynamodb_route_table import DynamoRouteTable
from fleet.routing.pace import Pace
from fleet.routing.route53_zone import Route53Zone
from fleet.routing.zone import MAX_BATCH_RECORDS, REQUESTS_PER_SECOND
from fleet.routing.zone_writer import ZoneWriter
from stacks.outputs import Outputs


def zone_applier(
    outputs: Outputs, cloud: Cloud, *, clock: Callable[[], datetime], largest: int = MAX_BATCH_RECORDS
) -> Applier:
    """Whoever runs this is named in the history. `largest`: changes in one batch, where fewer than fit are wanted."""
    return Applier(
        ground=ground_of(outputs),
        table=DynamoRouteTable(cloud.dynamodb(outputs.home_region), outputs.routing.route_table),
        writer=ZoneWriter(
            zone=Route53Zone(cloud.route53(), outputs.zone_id),
            pace=Pace(REQUESTS_PER_SECOND, clock, time.sleep),
            sleep=time.sleep,
        ),
        clock=clock,
        sleep=time.sleep,
        holder=f"{getpass.getuser()}@{socket.gethostname()}",
        largest=largest,
    )
