"""What the agent remembers over a restart: how often it started, and whether a cluster ever let it in."""

import os
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

STATE_FILE = "agent.json"


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    boot_count: int
    was_ever_admitted: bool


@dataclass(frozen=True)
class AgentState:
    """`boot_count` is 1 at the first start."""

    boot_count: int
    was_ever_admitted: bool


def start(folder: Path) -> AgentState:
    """Count this start, durably. A lost or damaged file starts the count anew: no reason not to work."""
    try:
        before = _Document.model_validate_json((folder / STATE_FILE).read_text(encoding="utf-8"))
    except (OSError, ValidationError, ValueError):
        before = _Document(boot_count=0, was_ever_admitted=False)
    state = AgentState(before.boot_count + 1, before.was_ever_admitted)
    _write(folder, state)
    return state


def remember_admission(folder: Path, state: AgentState) -> AgentState:
    """From now on a refusal is an outage, not a registration in progress."""
    if state.was_ever_admitted:
        return state
    admitted = AgentState(state.boot_count, was_ever_admitted=True)
    _write(folder, admitted)
    return admitted


def _write(folder: Path, state: AgentState) -> None:
    document = _Document(boot_count=state.boot_count, was_ever_admitted=state.was_ever_admitted)
    partial = folder / f"{STATE_FILE}.partial"
    with partial.open("w", encoding="utf-8") as file:
        file.write(document.model_dump_json())
        file.flush()
        os.fsync(file.fileno())
    partial.replace(folder / STATE_FILE)
