"""`python -m fleet lake compact`: a day of the lake with each reading once, in one file a model."""

from datetime import date
from typing import Annotated

import typer

from fleet.commands.lake_desk import Clusters, OutputsPath, clusters_of
from fleet.commands.telling import errors_told
from fleet.errors import RefusedError
from fleet.lake import compaction
from fleet.lake.compaction import Compacted
from protocol.lake import UNKNOWN
from provisioning.cloud import asking
from provisioning.commands.options import AsJson, Stack
from provisioning.commands.telling import tell_rows


def compact(
    *,
    day: Annotated[str, typer.Argument(help=f"As 2026-11-22 in UTC, or {UNKNOWN}: what has no day.")],
    stack: Stack,
    outputs: OutputsPath,
    cluster: Clusters = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Fold a day for good: copies go, small files become one a model. A rerun finishes one that was cut short."""
    with errors_told():
        wanted = _day(day)
        rows = []
        for name, known, cloud in clusters_of(stack, outputs, cluster):
            with asking(f"lake of {name}"):
                done = compaction.compact(cloud.s3(known.region), known.lake_bucket, wanted, dry_run=dry_run)
            rows.append(_row(name, done))
        tell_rows("compacted", rows, as_json=as_json)
        if dry_run and not as_json:
            typer.echo("Nothing was changed. Do it without --dry-run.")


def _day(text: str) -> date | None:
    if text == UNKNOWN:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise RefusedError(f"{text} is no day; write it as 2026-11-22, or {UNKNOWN}") from None


def _row(cluster: str, done: Compacted) -> dict[str, str]:
    return {
        "cluster": cluster,
        "day": done.day,
        "files": f"{done.files_before} -> {done.files_after}",
        "bytes": f"{done.bytes_before:,} -> {done.bytes_after:,}",
        "readings": str(done.readings),
        "duplicates": str(done.duplicates),
        "conflicts": str(done.conflicts),
    }
