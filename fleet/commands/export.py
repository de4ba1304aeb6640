"""`python -m fleet route export`: the whole zone as a standard zone file, for another DNS server or a drawer."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from fleet.cloud import Cloud
from fleet.commands.progress import counted
from fleet.commands.telling import errors_told
from fleet.errors import RefusedError
from fleet.routing.pace import Pace
from fleet.routing.zone import REQUESTS_PER_SECOND
from fleet.routing.zone_entries import zone_entries
from fleet.routing.zone_entry import ZoneEntry
from fleet.routing.zone_file import zone_file
from provisioning.commands.options import AsJson, Stack, now, outputs_of
from provisioning.commands.out_file import check_out
from provisioning.commands.telling import tell
from provisioning.durable import write_durably
from stacks.outputs import Outputs


def export(
    *,
    stack: Stack,
    outputs: Annotated[Path, typer.Option(help="What the deployment gave: pulumi stack output --json.")],
    out: Annotated[Path, typer.Option(help="Where the zone file goes.")],
    vantage: Annotated[
        str | None, typer.Option(help="The AWS region whose answers are written where Route 53 chooses; default: home.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the hosted zone as a zone file (RFC 1035), and tell what such a file cannot say."""
    with errors_told():
        check_out("--out", out)
        known = outputs_of(stack, outputs)
        cloud = Cloud.from_environment()
        seen_from = vantage or known.home_region
        if vantage is not None and vantage not in cloud.session.get_available_regions("ec2"):
            raise RefusedError(f"--vantage: AWS has no region {vantage!r}; name one such as {known.home_region}")
        with counted("record sets", None) as advance:
            made = zone_file(_told(_entries(known, cloud), advance), known.domain, seen_from)
        write_durably(out, made.text.encode("ascii"))
        for note in () if as_json else made.notes:
            typer.echo(f"note: {note}", err=True)
        facts = {"file": str(out), "zone": known.domain, "vantage": seen_from, "record_sets": made.record_sets}
        tell({**facts, "notes": list(made.notes)} if as_json else facts, as_json=as_json)


def _entries(outputs: Outputs, cloud: Cloud) -> Iterator[ZoneEntry]:
    pace = Pace(REQUESTS_PER_SECOND, now, time.sleep)
    return zone_entries(cloud.route53(), outputs.zone_id, pace, sleep=time.sleep)


def _told(entries: Iterator[ZoneEntry], advance: Callable[[int], None]) -> Iterator[ZoneEntry]:
    for entry in entries:
        yield entry
        advance(1)
