"""How the functions talk to AWS: one client a service for the life of the process, made when first needed."""

from functools import cache
from typing import Any

import boto3
from botocore.config import Config

CALL_TRIES = 3
"""botocore's standard mode; Lambda itself tries an event twice more after a failure."""
CONNECT_TIMEOUT_SECONDS = 3
READ_TIMEOUT_SECONDS = 10
"""Below the functions' own time-outs, so that a slow answer is logged as one."""


ONCE = 1
"""For calls that must not be made again before it is known what became of the first: Route 53's changes."""


@cache
def client(service: str, *, tries: int = CALL_TRIES) -> Any:
    """The boto3 client of `service`, in the region and with the role the function runs with."""
    config = Config(
        connect_timeout=CONNECT_TIMEOUT_SECONDS,
        read_timeout=READ_TIMEOUT_SECONDS,
        retries={"mode": "standard", "total_max_attempts": tries},
    )
    return boto3.client(service, config=config)  # type: ignore[call-overload]  # the stubs know services by literal
