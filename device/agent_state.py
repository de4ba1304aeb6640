"""What the agent remembers over a restart: how often it started, and which clusters let it in before."""

import os
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

STATE_FILE = "agent.json"


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    boot_count: int
    admitted_by: list[str]


@dataclass(frozen=True)
class AgentState:
    """`boot_count` is 1 at the first start; `admitted_by` holds the server names of clusters, sorted."""

    boot_count: int
    admitted_by: tuple[str, ...]


def start(folder: Path) -> AgentState:
    """Count this start, durably. A lost or damaged file starts the count anew: no reason not to work."""
    try:
        before = _Document.model_validate_json((folder / STATE_FILE).read_text(encoding="utf-8"))
    except (OSError, ValidationError, ValueError):
        before = _Document(boot_count=0, admitted_by=[])
    state = AgentState(before.boot_count + 1, tuple(before.admitted_by))
    _write(folder, state)
    return state


def remember_admission(folder: Path, state: AgentState, server_name: str) -> AgentState:
    """From now on a refusal by this cluster is an outage, not a registration in progress."""
    if server_name in state.admitted_by:
        return state
    admitted = AgentState(state.boot_count, tuple(sorted({*state.admitted_by, server_name})))
    _write(folder, admitted)
    return admitted


def _write(folder: Path, state: AgentState) -> None:
    document = _Document(boot_count=state.boot_count, admitted_by=list(state.admitted_by))
    partial = folder / f"{STATE_FILE}.partial"
    with partial.open("w", encoding="utf-8") as file:
        file.write(document.model_dump_json())
        file.flush()
        os.fsync(file.fileno())
    partial.replace(folder / STATE_FILE)
