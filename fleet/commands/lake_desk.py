"""One environment's lakes, as `fleet lake` works on them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from fleet.cloud import Cloud
from fleet.errors import RefusedError
from provisioning.commands.options import outputs_of
from stacks.outputs import ClusterOutputs

OutputsPath = Annotated[Path, typer.Option("--outputs", help="What the deployment gave: pulumi stack output --json.")]
Clusters = Annotated[
    list[str] | None, typer.Option("--cluster", help="Only this cluster; may be given again. Default: every one.")
]


def clusters_of(stack: str, outputs: Path, chosen: list[str] | None) -> Iterator[tuple[str, ClusterOutputs, Cloud]]:
    """The clusters asked for, each with its name and the cloud; `RefusedError` names one that is not there."""
    known = outputs_of(stack, outputs).clusters
    for name in chosen or []:
        if name not in known:
            there = ", ".join(sorted(known))
            raise RefusedError(f"--cluster {name}: {stack} has none of this name; write one of {there}")
    cloud = Cloud.from_environment()
    for name in sorted(set(chosen or known)):
        yield name, known[name], cloud
