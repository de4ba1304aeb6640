"""Tiny programs for the engine, applied to one cell."""

from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

from local.apply import Action, Deployer, Outcome
from local.cells import Cells
from local.cloud import Cloud
from local.program import ProgramRun, run_program
from local.state import State, read_state

IMPORTS = "import json\nimport pulumi\nimport pulumi_aws as aws\n"


def write_program(root: Path, body: str) -> Path:
    root.mkdir(exist_ok=True)
    (root / "Pulumi.yaml").write_text("name: tiny\nruntime: python\n", encoding="utf-8")
    (root / "__main__.py").write_text(IMPORTS + dedent(body), encoding="utf-8")
    return root


@dataclass(frozen=True)
class Applied:
    run: ProgramRun
    outcomes: tuple[Outcome, ...]
    cloud: Cloud
    state: State

    def actions(self) -> dict[str, Action]:
        return {outcome.name: outcome.action for outcome in self.outcomes}


@dataclass(frozen=True)
class Bench:
    """One cell, and a folder with a program and its state."""

    cells: Cells
    folder: Path

    @property
    def cloud(self) -> Cloud:
        endpoints = {region: cell.endpoint for region, cell in self.cells.cells.items()}
        return Cloud(endpoints, self.cells.home_region, self.folder)

    def apply(self, body: str) -> Applied:
        """Write the program and apply it, as `local up` does."""
        root = write_program(self.folder, body)
        state, cloud = read_state(self.folder), self.cloud
        deployer = Deployer(cloud, state, lambda _outcome: None)
        run = run_program("dev", deployer, preview=False, project_root=root)
        deployer.delete_gone()
        return Applied(run, deployer.outcomes(), cloud, state)
