"""Calls of the registry: each at its pace, tried again by us alone, and never believed without its fields.

The library's own retries are off: they would pass the pace by, and hide what was throttled.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from provisioning.errors import CloudError
from provisioning.registry.pace import Pace
from provisioning.registry.quotas import OTHER_PER_SECOND

ATTEMPTS = 10
"""Of one call: with the waits below about two minutes of throttling, after which a person looks."""
FIRST_WAIT_SECONDS = 0.2
LONGEST_WAIT_SECONDS = 20.0

THROTTLED = frozenset({"ThrottlingException", "Throttling", "TooManyRequestsException", "LimitExceededException"})
_PASSING = frozenset({"InternalFailureException", "InternalException", "ServiceUnavailableException", "InternalError"})


class BrokenAnswerError(CloudError):
    """An answer that lacks what it must have: nobody knows what the cloud did, so the call is made again."""


@dataclass
class Calls:
    """The registry of one region behind `client`, whose own retries are off. Threads may share it."""

    client: Any
    quotas: Mapping[str, float]
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    throttled: int = 0
    """How many calls were turned away for their rate so far."""
    _paces: dict[str, Pace] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def call(self, name: str, *needs: str, may_be_empty: tuple[str, ...] = (), **arguments: Any) -> dict[str, Any]:
        """Make the call `name`, such as `CreateThing`.

        The answer has every field of `needs`, none of them empty, and every one of `may_be_empty`.
        """
        method = getattr(self.client, _snake(name))
        for attempt in Retrying(
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_random_exponential(multiplier=FIRST_WAIT_SECONDS, max=LONGEST_WAIT_SECONDS),
            retry=retry_if_exception(may_pass),
            sleep=self.sleep,
            reraise=True,
        ):
            with attempt:
                answer = self._once(name, method, needs, arguments)
                if lacking := [field for field in may_be_empty if field not in answer]:
                    raise BrokenAnswerError(f"{name}: the answer lacks {', '.join(lacking)}")
                return answer
        raise AssertionError("tenacity raises what the last attempt raised")

    def pace(self, name: str) -> Pace:
        """The pace of a call; made when it is first asked for."""
        with self._lock:
            return self._paces.setdefault(name, Pace(self.quotas.get(name, OTHER_PER_SECOND)))

    def _once(self, name: str, method: Any, needs: tuple[str, ...], arguments: dict[str, Any]) -> dict[str, Any]:
        pace = self.pace(name)
        with self._lock:
            wait = pace.reserve(self.monotonic())
        if wait > 0:
            self.sleep(wait)
        try:
            answer: dict[str, Any] = method(**arguments)
        except ClientError as error:
            if error_code(error) in THROTTLED:
                with self._lock:
                    pace.was_throttled(self.monotonic())
                    self.throttled += 1
            raise
        missing = [need for need in needs if not answer.get(need)]
        if missing:
            raise BrokenAnswerError(f"{name}: the answer lacks {', '.join(missing)}")
        with self._lock:
            pace.went_well()
        return answer


def error_code(error: BaseException) -> str:
    """AWS's name for an error; empty for any other."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


def may_pass(error: BaseException) -> bool:
    """Whether the same call may go well later. Every call here is harmless to repeat."""
    if isinstance(error, ClientError):
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        return error_code(error) in THROTTLED | _PASSING or status >= 500
    return isinstance(error, BotoCoreError | BrokenAnswerError)


def _snake(name: str) -> str:
    """`AttachThingPrincipal` as the client's method: `attach_thing_principal`."""
    spaced = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")
    return spaced.replace("_c_a", "_ca")
