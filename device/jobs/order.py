"""One job as the device sees it: what is asked, and what is answered.

Source: AWS IoT Jobs, "Device MQTT APIs". The same job can be sent to a device again; then its execution number is new.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

MAX_REASON_CHARACTERS = 1024
"""AWS IoT Jobs: the value of a status detail."""


class Status(StrEnum):
    """How an order ended, in the words of AWS IoT Jobs."""

    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    """It was tried."""
    REJECTED = "REJECTED"
    """It was not even tried."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is told of an order that is over."""

    status: Status
    reason: str


@dataclass(frozen=True, slots=True)
class Order:
    """One execution of one job on this device."""

    job: str
    number: int
    """Of the execution."""
    version: int
    """Grows with every change of the execution's state; an update that expects another one is refused."""
    document: dict[str, Any]

    @property
    def key(self) -> str:
        """What names it for ever."""
        return f"{self.job}/{self.number}"

    @property
    def operation(self) -> str:
        """What is asked."""
        return str(self.document.get("operation", ""))


def read_order(answer: dict[str, Any]) -> Order | None:
    """The order in an answer to `start-next`; nothing when there is none. `KeyError` or `TypeError` when it is odd."""
    execution = answer.get("execution")
    if not execution:
        return None
    document = execution["jobDocument"]
    return Order(
        job=str(execution["jobId"]),
        number=int(execution["executionNumber"]),
        version=int(execution["versionNumber"]),
        document=document if isinstance(document, dict) else {},
    )
