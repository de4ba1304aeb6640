"""`python -m fleet lake replay`: bring dead letters of ingestion back into the lake.

Exit codes: 0 nothing waits, or all of it was stored; 1 letters are left, or the cloud failed; 2 the request must change
first. Without --send nothing is changed, and what waits makes no failure.
"""

from collections import Counter
from typing import Annotated

import typer

from fleet.commands.lake_desk import Clusters, OutputsPath, clusters_of
from fleet.commands.progress import counted
from fleet.commands.telling import errors_told
from fleet.errors import UnfinishedError
from fleet.lake.replay import Replay, Replayed
from provisioning.cloud import asking
from provisioning.commands.options import AsJson, Stack
from provisioning.commands.telling import tell_rows


def replay(
    stack: Stack,
    outputs: OutputsPath,
    cluster: Clusters = None,
    send: Annotated[bool, typer.Option("--send", help="Send the letters again. Without it, only look.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the reasons of the dead letters, and with --send store their batches after all."""
    with errors_told():
        found: Counter[tuple[str, Replayed]] = Counter()
        for name, known, cloud in clusters_of(stack, outputs, cluster):
            one = Replay(
                sqs=cloud.sqs(known.region),
                functions=cloud.functions(known.region),
                kinesis=cloud.kinesis(known.region),
                queue_url=known.dead_letter_queue_url,
                function=known.ingest_function,
            )
            with counted(f"letters of {name}", None) as advance, asking(f"dead letters of {name}"):
                for replayed in one.send() if send else one.look():
                    found[name, replayed] += 1
                    advance(1)
        tell_rows(
            "letters",
            [_row(name, one, count) for (name, one), count in sorted(found.items(), key=str)],
            as_json=as_json,
        )
        left = sum(count for (_, one), count in found.items() if one.outcome == "left")
        if send and left:
            raise UnfinishedError(
                f"{left} letters are left, and stay in their queue for 14 days: what is refused is its sender's fault, "
                f"what the function failed for is in its log"
            )
        if not send and found and not as_json:
            typer.echo("Nothing was changed. Send them again with --send.")


def _row(cluster: str, one: Replayed, count: int) -> dict[str, str]:
    result = f"{one.outcome}: {one.why}" if one.why else one.outcome
    return {"cluster": cluster, "kind": one.kind, "letters": str(count), "reason": one.reason, "result": result}
