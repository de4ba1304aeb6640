"""The whole program of every stack, run as a plan and as a first preview, each once a session."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from local.authority_keys import DIRECTORY_KEY, authority_public_keys
from local.program import PROJECT_ROOT, ProgramRun, run_program
from local.reference import ReferenceBackend, output_shapes
from local.registration import Registration
from local.wire import UNKNOWN
from stacks.load import available_stacks, load_environment
from tests.components.throwaway_authority import write_authority

STACK_NAMES = available_stacks(PROJECT_ROOT / "stacks")


class UnknownBackend(ReferenceBackend):
    """A first preview at its worst: nothing a resource puts out is known, not even what was put in."""

    def create(self, registration: Registration) -> tuple[str, dict[str, Any]]:
        names = registration.inputs.keys() | output_shapes(registration.type).keys()
        return UNKNOWN, dict.fromkeys(names, UNKNOWN)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A stack, before or after its authorities have certificates."""

    stack: str
    has_certificates: bool

    def __str__(self) -> str:
        return f"{self.stack}-{'with' if self.has_certificates else 'without'}-certificates"


CASES = [Case(stack=stack, has_certificates=has) for stack in STACK_NAMES for has in (False, True)]


@dataclass
class Programs:
    """Runs the program and remembers what came of it."""

    directory: Path
    """For certificates; empty at first."""
    _runs: dict[tuple[Case, type], ProgramRun] = field(default_factory=dict)

    def planned(self, case: Case) -> ProgramRun:
        """The run whose unknown outputs are references."""
        return self._run(case, ReferenceBackend(authority_public_keys(case.stack, self.config(case))))

    def previewed(self, case: Case) -> ProgramRun:
        """The run in which every output is unknown."""
        return self._run(case, UnknownBackend())

    def config(self, case: Case) -> dict[str, str]:
        """Where this case's certificates are: all of them, or none."""
        folder = self.directory / str(case)
        if case.has_certificates and not folder.exists():
            environment = load_environment(case.stack, today=datetime.now(UTC).date())
            for name, authority in environment.authorities.items():
                write_authority(folder / f"{name}.pem", authority.common_name)
        return {DIRECTORY_KEY: str(folder)}

    def _run(self, case: Case, backend: ReferenceBackend) -> ProgramRun:
        key = (case, type(backend))
        if key not in self._runs:
            self._runs[key] = run_program(case.stack, backend, preview=True, config=self.config(case))
        return self._runs[key]
