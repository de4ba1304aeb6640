"""Where a plan may be written: where nothing is, or in the place of a plan that nobody has begun to apply."""

from collections.abc import Callable
from pathlib import Path

from fleet.errors import RefusedError
from fleet.routing.plan_file import Plan, read_plan
from fleet.routing.route_table import PlanEntry
from provisioning.commands.out_file import check_out


def standing_plan(out: Path, environment: str) -> Plan | None:
    """The plan that a new one would take the place of, if any; `RefusedError` when something else is there.

    A plan of another `environment` counts as something else: its journal cannot be asked whether it was begun.
    """
    check_out("--out", out)
    if not out.exists():
        return None
    try:
        standing = read_plan(out)
    except RefusedError as error:
        raise RefusedError(
            f"--out: {out} is a file, but no whole plan, and is left alone; name another file, or move it away"
        ) from error
    if standing.header.environment != environment:
        raise RefusedError(
            f"--out: {out} is a plan of {standing.header.environment}, not of {environment}; name another file"
        )
    return standing


def check_not_begun(standing: Plan | None, read_entry: Callable[[str], PlanEntry | None]) -> None:
    """Refuse to replace a plan that was begun: going on with it and taking it back both need its file.

    `read_entry`: what the journal says of a plan, by its digest.
    """
    entry = None if standing is None else read_entry(standing.digest)
    if standing is not None and entry is not None:
        raise RefusedError(
            f"--out: {standing.path} is plan {standing.digest[:12]}, which {entry.begun_by} began to apply at "
            f"{entry.begun_at:%Y-%m-%dT%H:%M:%SZ} (it is {entry.progress}); `route apply` and `route rollback` need "
            f"its file. Name another file for the new plan"
        )
