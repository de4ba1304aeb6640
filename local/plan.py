"""Every stack as a committed text file, so that a change to production shows in its pull request (design decision 10).

`stacks/<name>.plan.yaml` is what the program makes of `stacks/Pulumi.<name>.yaml`: every resource with its inputs.
Rendering needs no credentials, network or build artefacts.
"""

import difflib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from local.authority_keys import authority_public_keys
from local.plan_text import plan_text
from local.program import run_program
from local.reference import ReferenceBackend


@dataclass(frozen=True, kw_only=True)
class ComponentChange:
    """What a component is made of, and how the committed plan differs."""

    component: str
    """The name of a component that stands directly under the stack."""
    resources: int
    added: int
    changed: int
    removed: int


@dataclass(frozen=True, kw_only=True)
class PlanChange:
    """A plan beside the committed file."""

    stack: str
    path: Path
    committed: str
    """Empty when there is no file."""
    rendered: str

    @property
    def stale(self) -> bool:
        """Whether the committed file says something else than the program."""
        return self.committed != self.rendered

    def diff(self) -> str:
        """The difference as a unified diff; empty when there is none."""
        return "".join(
            difflib.unified_diff(
                self.committed.splitlines(keepends=True),
                self.rendered.splitlines(keepends=True),
                fromfile=f"{self.path.name} (committed)",
                tofile=f"{self.path.name} (what the program says)",
            )
        )

    def components(self) -> tuple[ComponentChange, ...]:
        """Every component of either side, sorted by name."""
        before, after = _entries(self.committed), _entries(self.rendered)
        counts: dict[str, Counter[str]] = {}
        for key in before.keys() | after.keys():
            count = counts.setdefault(key[0].split("/")[0], Counter())
            count["resources"] += key in after
            count["added"] += key not in before
            count["removed"] += key not in after
            count["changed"] += key in before and key in after and before[key] != after[key]
        fields = ("resources", "added", "changed", "removed")
        return tuple(
            ComponentChange(component=component, **{field: counts[component][field] for field in fields})
            for component in sorted(counts)
        )


def render_plan(stack: str, *, project_root: Path, config: Mapping[str, str] | None = None) -> str:
    """The plan file of a stack, as the program says now."""
    backend = ReferenceBackend(authority_public_keys(stack, config or {}))
    run = run_program(stack, backend, preview=True, config=config, project_root=project_root)
    return plan_text(stack, run.resources, run.exports, project_root=project_root)


def compare_plan(stack: str, *, project_root: Path) -> PlanChange:
    """Render a stack and read what is committed for it."""
    path = project_root / "stacks" / f"{stack}.plan.yaml"
    committed = path.read_text(encoding="utf-8") if path.exists() else ""
    return PlanChange(
        stack=stack, path=path, committed=committed, rendered=render_plan(stack, project_root=project_root)
    )


def _entries(text: str) -> dict[tuple[str, str, str], Any]:
    """The resources in a plan file, by component path, type and name; none when the text is no plan."""
    try:
        document = yaml.safe_load(text)
        entries: list[dict[str, Any]] = document["resources"]
        return {_key(entry): entry for entry in entries}
    except (yaml.YAMLError, KeyError, TypeError):
        return {}


def _key(entry: dict[str, Any]) -> tuple[str, str, str]:
    parent = entry.get("parent", "")
    return (parent or entry["name"], entry["type"], entry["name"])
