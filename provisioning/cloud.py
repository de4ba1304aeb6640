"""Clients of the cloud, one a service and region, with retries pinned: a default that moves must not move us."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from provisioning.errors import CloudError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_iot import IoTClient
    from mypy_boto3_iot_data import IoTDataPlaneClient
    from mypy_boto3_kms import KMSClient

CONFIG = Config(
    retries={"mode": "standard", "total_max_attempts": 5},
    connect_timeout=5,
    read_timeout=15,
)
"""Every call made with it is harmless to repeat. Times in seconds; five attempts with the standard mode's backoff take
about a minute at worst, after which a person should see the error."""

ONCE = Config(
    retries={"mode": "standard", "total_max_attempts": 1},
    connect_timeout=5,
    read_timeout=30,
    max_pool_connections=32,
)
"""One attempt a call, for whoever keeps a pace of their own and must know of every attempt. Times in seconds."""


@dataclass(frozen=True)
class Cloud:
    """Where clients come from: the standard environment variables and profiles of AWS."""

    session: boto3.session.Session

    @classmethod
    def from_environment(cls) -> Self:
        """The account that the environment names."""
        return cls(boto3.session.Session())

    def dynamodb(self, region: str) -> "DynamoDBClient":
        """Manifests."""
        return self.session.client("dynamodb", region_name=region, config=CONFIG)

    def iot(self, region: str) -> "IoTClient":
        """Certificates."""
        return self.session.client("iot", region_name=region, config=CONFIG)

    def iot_once(self, region: str) -> "IoTClient":
        """Certificates and things, every call one attempt."""
        return self.session.client("iot", region_name=region, config=ONCE)

    def iot_data(self, region: str) -> "IoTDataPlaneClient":
        """Live sessions."""
        return self.session.client("iot-data", region_name=region, config=CONFIG)

    def kms(self, region: str) -> "KMSClient":
        """Keys of issuing authorities."""
        return self.session.client("kms", region_name=region, config=CONFIG)


@contextmanager
def asking(what: str) -> Iterator[None]:
    """Turn a failed call into `CloudError` with `what` was asked of whom."""
    try:
        yield
    except CloudError as error:
        raise CloudError(f"{what}: {error}") from error
    except (ClientError, BotoCoreError) as error:
        raise CloudError(f"{what}: {error}; check credentials, rights and network, then run this again") from error
