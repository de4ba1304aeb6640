"""What the program asks for and what it is answered: the types between the program's runner and its backends."""

from dataclasses import dataclass, field
from typing import Any, Protocol


class ProgramError(Exception):
    """The program cannot be run to its end; names the resource where there is one, and the reason."""


@dataclass(frozen=True, kw_only=True)
class Registration:
    """What the program asked for: one resource, its inputs resolved."""

    urn: str
    type: str
    """The type token, such as `aws:sqs/queue:Queue`."""
    name: str
    """The logical name."""
    parent: str | None
    """URN of the parent; None for what stands directly under the stack."""
    custom: bool
    """True for a resource of a provider, False for a component."""
    inputs: dict[str, Any]
    """By camelCase property name. Unknown values are `local.wire.UNKNOWN`, archives `{"archive": path}`."""
    secrets: frozenset[str] = frozenset()
    """Names of the inputs that hold a secret; their values stand in `inputs` in the clear."""
    region: str | None = None
    """The `region` input of provider v7, where the program gave one."""
    protect: bool = False
    retain_on_delete: bool = False
    delete_before_replace: bool = False
    dependencies: tuple[str, ...] = ()
    """URNs of everything this resource waits for, sorted."""
    property_dependencies: dict[str, tuple[str, ...]] = field(default_factory=dict)
    ignore_changes: tuple[str, ...] = ()
    replace_on_changes: tuple[str, ...] = ()
    additional_secret_outputs: tuple[str, ...] = ()
    provider: str = ""
    """Reference of an explicit provider; empty for the default one."""


class Backend(Protocol):
    """Answers the program. Called from several threads at once."""

    def create(self, registration: Registration) -> tuple[str, dict[str, Any]]:
        """The id and the outputs (camelCase) of a custom resource; inputs it does not mention are echoed."""

    def invoke(self, token: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """The result of a provider function, such as `aws:index/getCallerIdentity:getCallerIdentity`."""


@dataclass(frozen=True)
class Resource:
    """A registration and its answer. A component has an empty id and no outputs."""

    registration: Registration
    id: str
    outputs: dict[str, Any]
