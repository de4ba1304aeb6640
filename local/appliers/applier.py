"""What an applier is: how one resource type is created, changed and deleted."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from local.cloud import Cloud

NOT_FOUND_CODES = frozenset(
    {
        "404",
        "EntityNotFoundException",
        "NoSuchBucket",
        "NoSuchEntity",
        "NoSuchHostedZone",
        "NotFound",
        "NotFoundException",
        "ResourceNotFound",
        "ResourceNotFoundException",
        "AWS.SimpleQueueService.NonExistentQueue",
        "QueueDoesNotExist",
    }
)
"""Error codes by which services say that what should be deleted is gone already."""
_LACKING = ("Unsupported IoT path", "Unknown Route53 endpoint", "Unknown operation", "not implemented")
"""How MiniStack 1.5.33 words that it does not have an operation (ministack/services/*.py)."""


@dataclass(frozen=True)
class Request:
    """One resource, as the program asked for it, and where it goes."""

    cloud: Cloud
    name: str
    """The logical name."""
    region: str
    """The `region` input, or the home region."""
    inputs: Mapping[str, Any]

    def client(self, service: str) -> Any:
        """The client of a regional service in the resource's own cell."""
        return self.cloud.client(service, self.region)

    def physical_name(self, key: str = "name") -> str:
        """The name in AWS: the input of that key, else the logical name."""
        return str(self.inputs.get(key) or self.name)

    @property
    def tags(self) -> list[dict[str, str]]:
        """The tags in the form most services take."""
        return [{"Key": key, "Value": value} for key, value in sorted(self.inputs.get("tags", {}).items())]


@dataclass(frozen=True)
class Answer:
    """What a resource became."""

    id: str
    outputs: dict[str, Any]
    gaps: tuple[str, ...] = ()
    """What of it the embedded cloud does not have, each with its consequence."""


Create = Callable[[Request], Answer]
Update = Callable[[Request, Answer], Answer]
"""Takes the new request and what the resource was."""
Delete = Callable[[Request, Answer], None]
"""Takes the request as it was applied, and what it became."""


@dataclass(frozen=True)
class Applier:
    """How one resource type is applied."""

    create: Create
    delete: Delete
    update: Update | None = None
    """None where AWS has no way to change the resource: it is deleted and created again."""
    fixed: tuple[str, ...] = ("name", "region")
    """Inputs that cannot change in place; a change of one replaces the resource."""


def settings(put: Create, delete: Delete, *, fixed: tuple[str, ...] = ("region",)) -> Applier:
    """The applier of what AWS writes whole, the first time and every other."""
    return Applier(create=put, delete=delete, update=lambda request, _former: put(request), fixed=fixed)


def attempt(what: str, call: Callable[[], Any]) -> tuple[str, ...]:
    """Call for something the embedded cloud may lack: the gap, if it does. Any other refusal is raised."""
    try:
        call()
    except ClientError as error:
        if any(words in str(error) for words in _LACKING):
            return (what,)
        raise
    return ()


def gone(call: Callable[[], Any]) -> None:
    """Delete something; that it is gone already is as good."""
    try:
        call()
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") not in NOT_FOUND_CODES:
            raise


def keep(_request: Request, _former: Answer) -> None:
    """Delete nothing: AWS has no such thing as the absence of this setting."""
