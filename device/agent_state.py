"""What the agent remembers over a restart: how often it started, and which clusters let it in before."""

from contextlib import suppress
from dataclasses import dataclass, replace

from pydantic import BaseModel, ConfigDict, ValidationError

from device.shelf import Shelf

STATE_FILE = "agent.json"


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    boot_count: int
    admitted_by: list[str]


@dataclass(frozen=True, slots=True)
class AgentState:
    """`boot_count` is 1 at the first start; `admitted_by` holds the server names of clusters, sorted."""

    boot_count: int
    admitted_by: tuple[str, ...]


def recall(shelf: Shelf) -> AgentState:
    """What is remembered; a damaged document is none."""
    try:
        before = _Document.model_validate_json(shelf.read(STATE_FILE) or b"")
    except (ValidationError, ValueError):
        before = _Document(boot_count=0, admitted_by=[])
    return AgentState(before.boot_count, tuple(before.admitted_by))


def start(shelf: Shelf) -> AgentState:
    """Count this start, durably if the flash allows. A damaged document starts anew: no reason not to work."""
    before = recall(shelf)
    state = replace(before, boot_count=before.boot_count + 1)
    _write(shelf, state)
    return state


def remember_admission(shelf: Shelf, state: AgentState, server_name: str) -> AgentState:
    """From now on a refusal by this cluster is an outage, not a registration in progress."""
    if server_name in state.admitted_by:
        return state
    admitted = replace(state, admitted_by=tuple(sorted({*state.admitted_by, server_name})))
    _write(shelf, admitted)
    return admitted


def _write(shelf: Shelf, state: AgentState) -> None:
    document = _Document(boot_count=state.boot_count, admitted_by=list(state.admitted_by))
    # A flash that takes nothing costs a start its number, not its work; the buffer tells of the flash.
    with suppress(OSError):
        shelf.write(STATE_FILE, document.model_dump_json().encode())
