"""Clients of the embedded AWS: one cell a region, one account, no call ever leaves the machine."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from local.account import ACCOUNT, SECRET_ACCESS_KEY

CONNECT_TIMEOUT_S = 5
READ_TIMEOUT_S = 60
"""A cell answers in milliseconds; creating a Lambda function on a busy machine takes seconds."""
_ONCE = Config(
    # A repeated create would be refused as a duplicate, and hide what really happened.
    retries={"total_max_attempts": 1},
    connect_timeout=CONNECT_TIMEOUT_S,
    read_timeout=READ_TIMEOUT_S,
    max_pool_connections=32,
    proxies={},
    s3={"addressing_style": "path"},
)


class NoCellError(Exception):
    """A resource asks for a region in which this desk runs no cell."""


@dataclass(frozen=True)
class Cloud:
    """The cells of a deployment, as endpoints by region. Clients are made once and shared by all threads."""

    endpoints: Mapping[str, str]
    home_region: str
    """Where Route 53 lives, and whatever has no region of its own."""
    project_root: Path
    """What paths in the program are relative to."""
    account: str = ACCOUNT
    _clients: dict[tuple[str, str], Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    _session: boto3.Session = field(default_factory=boto3.Session, init=False, repr=False, compare=False)
    """One for all clients: it reads the description of each service only once."""
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False, compare=False)

    def client(self, service: str, region: str) -> Any:
        """The boto3 client of a service in a region's cell."""
        if region not in self.endpoints:
            raise NoCellError(f"region {region} has no cell on this desk; there are {', '.join(self.endpoints)}")
        with self._lock:
            if (service, region) not in self._clients:
                make: Any = self._session.client
                self._clients[service, region] = make(
                    service,
                    region_name=region,
                    endpoint_url=self.endpoints[region],
                    aws_access_key_id=self.account,
                    aws_secret_access_key=SECRET_ACCESS_KEY,
                    config=_ONCE,
                )
            return self._clients[service, region]

    def everywhere(self, service: str) -> tuple[Any, ...]:
        """The clients of a global service in every cell, the home cell's first."""
        others = [region for region in self.endpoints if region != self.home_region]
        return tuple(self.client(service, region) for region in (self.home_region, *others))
