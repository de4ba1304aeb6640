"""A desk's processes, running: two cells, the network before them, and a zone of a fleet in the home cell."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from local.account import ACCOUNT, SECRET_ACCESS_KEY
from local.background import BackgroundProcess
from local.cells import Cells, start_cells
from local.network_process import Network, start_network

DOMAIN = "iot.example.com"
HOME_REGION = "eu-north-1"
OTHER_REGION = "us-east-1"
DATA_ENDPOINT = "abc-ats.iot.{}.localhost"


def cloud_client(service: str, endpoint: str, region: str, **config: Any) -> Any:
    return boto3.client(  # type: ignore[call-overload]  # the service is a variable here
        service,
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id=ACCOUNT,
        aws_secret_access_key=SECRET_ACCESS_KEY,
        config=Config(retries={"total_max_attempts": 1}, **config),
    )


def kill(process: BackgroundProcess) -> None:
    """End a process as a crash would; it is gone when this returns."""
    os.kill(process.pid, signal.SIGKILL)
    while process.is_alive:
        time.sleep(0.01)


@dataclass(frozen=True)
class RunningDesk:
    home: Path
    cells: Cells
    network: Network
    zone_id: str

    def client(self, service: str, region: str, **config: Any) -> Any:
        """A client that knows the front door only, as every tool does."""
        return cloud_client(service, self.network.front_door_url, region, **config)

    def put_record(self, name: str, kind: str, value: str, action: str = "UPSERT") -> None:
        self.client("route53", HOME_REGION).change_resource_record_sets(
            HostedZoneId=self.zone_id,
            ChangeBatch={
                "Changes": [
                    {
                        "Action": action,
                        "ResourceRecordSet": {
                            "Name": f"{name}.{DOMAIN}",
                            "Type": kind,
                            "TTL": 60,
                            "ResourceRecords": [{"Value": value}],
                        },
                    }
                ]
            },
        )


@contextmanager
def running_desk(home: Path) -> Iterator[RunningDesk]:
    cells = start_cells(home, [OTHER_REGION], home_region=HOME_REGION, domain=DOMAIN)
    network = start_network(home, cells, domain=DOMAIN, vantage_region=HOME_REGION)
    try:
        route53 = cloud_client("route53", network.front_door_url, HOME_REGION)
        zone = route53.create_hosted_zone(Name=DOMAIN, CallerReference="desk")["HostedZone"]["Id"]
        desk = RunningDesk(home, cells, network, zone)
        desk.put_record("*.gw", "CNAME", f"default.{DOMAIN}")
        desk.put_record("default", "CNAME", f"eu1.clusters.{DOMAIN}")
        desk.put_record("eu1.clusters", "CNAME", DATA_ENDPOINT.format(HOME_REGION))
        desk.put_record("us1.clusters", "CNAME", DATA_ENDPOINT.format(OTHER_REGION))
        yield desk
    finally:
        network.stop()
        cells.stop()
