"""`python -m fleet simulate`: an outage of the whole fleet, computed, before it happens."""

import re
import sys
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.progress import track

from fleet.commands.telling import errors_told
from fleet.errors import RefusedError
from fleet.outage.backlog import backlog
from fleet.outage.broker import BROKERS
from fleet.outage.course import Run
from fleet.outage.policy import PICTURED, policies
from fleet.outage.publishing import scheduled, synchronized
from fleet.outage.simulation import Outage
from fleet.outage.simulation import simulate as simulate_outage
from protocol.buffer_room import BUFFER_BYTES, ROWS_PER_SECOND
from protocol.traffic import UNPLACED_SHARE
from provisioning.commands.options import AsJson
from provisioning.commands.out_file import check_out
from provisioning.commands.telling import tell, tell_rows

UNITS = {"s": 1, "m": 60, "h": 3600}
MAX_DEVICES = 10_000_000
"""Ten times the issue's fleet, and a few gigabytes of arrays."""
MAX_OUTAGE_SECONDS = 7 * 24 * 3600
"""A week; beyond it every buffer is full, and the model has nothing to add."""
QUIET_SECONDS = 600
"""Ten minutes: until a fleet that started together has spread."""
POLICIES = tuple(policies(1, 1))
COLUMNS = ("policy", "peak connects/s", "quota", "99 % back", "all back", "x ideal", "tries a device", "rows lost")
"""Of the comparison: what fits beside each other in 100 characters; `--json` has the rest."""
NARROW_COLUMNS = ("policy", "peak connects/s", "quota", "all back", "x ideal")
"""What fits in the 80 of a small terminal without a number split over two lines."""
WIDE = 100


class BrokerName(StrEnum):
    """What the cluster does with more connects than it can take."""

    REFUSES = "refuses"
    QUEUES = "queues"


def simulate(
    *,
    devices: Annotated[int, typer.Option(min=1, max=MAX_DEVICES, help="How many devices lose the cluster at once.")],
    connects_per_second: Annotated[int, typer.Option(min=1, help="The account's quota of new connections.")] = 500,
    outage: Annotated[str, typer.Option(help="How long the cluster is away: 90s, 30m, 2h, or 0s.")] = "30m",
    noticed_over: Annotated[
        str, typer.Option(help="How far apart devices notice: 0s of a broker that fell, 6m of a silent network.")
    ] = "0s",
    unplaced_percent: Annotated[
        int, typer.Option(min=0, max=100, help="Of the devices, those that have no place in the return.")
    ] = round(UNPLACED_SHARE * 100),
    policy: Annotated[
        str, typer.Option(help=f"How devices wait before they dial again: {', '.join(POLICIES)}.")
    ] = "contract",
    broker: Annotated[BrokerName, typer.Option(help="What happens above the quota.")] = BrokerName.REFUSES,
    compare: Annotated[bool, typer.Option("--compare", help="Every policy, in one table.")] = False,
    svg: Annotated[Path | None, typer.Option(help="Draw some policies under both brokers into this file.")] = None,
    buffer_mib: Annotated[int, typer.Option(min=1, help="What each device's buffer holds.")] = BUFFER_BYTES >> 20,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same outage.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Compute an outage: connects a second against the quota, time to recover, readings delayed and lost."""
    with errors_told():
        lost = Outage(
            devices=devices,
            connects_per_second=connects_per_second,
            seconds=_seconds("--outage", outage),
            noticed_over_seconds=_seconds("--noticed-over", noticed_over),
        )
        if svg is not None:
            check_out("--svg", svg)
        if policy not in POLICIES:
            raise RefusedError(f"--policy: there is no policy {policy}; choose one of {', '.join(POLICIES)}")
        names = POLICIES if compare else (policy,)
        asked = [(name, broker.value) for name in names]
        pictured = [(name, kind) for kind in BROKERS for name in PICTURED] if svg is not None else []
        runs = dict(_runs(lost, dict.fromkeys([*asked, *pictured]), unplaced_percent / 100, seed))
        rows = [_told(lost, runs[key], buffer_mib) for key in asked]
        if svg is not None:
            quiet = scheduled(devices, QUIET_SECONDS, np.random.default_rng(seed))
            from fleet.outage.picture import draw  # noqa: PLC0415 - matplotlib takes a second, and is for pictures only

            draw(lost, [runs[key] for key in pictured], quiet, synchronized(devices, QUIET_SECONDS), svg)
    if compare:
        shown = rows if as_json else [_spoken(row) for row in rows]
        tell_rows("policies", shown, as_json=as_json, columns=_columns())
    else:
        tell(rows[0] if as_json else _spoken(rows[0]), as_json=as_json)


def _runs(
    outage: Outage, wanted: Iterable[tuple[str, str]], unplaced: float, seed: int
) -> Iterator[tuple[tuple[str, str], Run]]:
    """Each policy and broker once, with a bar on a terminal."""
    known = policies(outage.devices, outage.connects_per_second, unplaced)
    told = Console(stderr=True)
    for name, kind in track(list(wanted), "simulating", console=told, disable=not sys.stderr.isatty(), transient=True):
        answering = BROKERS[kind](outage.connects_per_second)
        course = simulate_outage(outage, known[name], answering, np.random.default_rng(seed))
        yield (name, kind), Run(known[name], kind, course)


def _told(outage: Outage, run: Run, buffer_mib: int) -> dict[str, Any]:
    course, rows = run.course, backlog(run.course, buffer_bytes=buffer_mib << 20, rows_per_second=ROWS_PER_SECOND)
    return {
        "policy": run.policy.name,
        "waits": run.policy.says,
        "broker": run.broker,
        "peak_connects_per_second": course.peak,
        "is_within_quota": course.peak <= outage.connects_per_second,
        "seconds_until_99_percent": course.seconds_until_back(0.99),
        "seconds_until_all": course.seconds_until_back(1),
        "ideal_seconds": course.ideal_seconds,
        "recovery_over_ideal": course.recovery,
        "devices_back": course.back,
        "watched_seconds": course.watched_seconds,
        "attempts_a_device": course.attempts_a_device,
        "rows_delayed": rows.delayed,
        "rows_thinned_out": rows.thinned,
        "rows_lost": rows.lost,
        "fullest_buffer": rows.fullest,
    }


def _spoken(row: dict[str, Any]) -> dict[str, str]:
    """For people: rounded, with units, and what did not happen said."""
    everyone, share = row["recovery_over_ideal"], row["devices_back"]
    return {
        "policy": row["policy"],
        "waits": row["waits"],
        "broker": row["broker"],
        "peak connects/s": f"{row['peak_connects_per_second']:,}",
        "quota": "kept" if row["is_within_quota"] else "BROKEN",
        "99 % back": _span(row["seconds_until_99_percent"]),
        "all back": _span(row["seconds_until_all"]) if everyone is not None else f"only {share:,}",
        "x ideal": "-" if everyone is None else f"{everyone:.2f}",
        "tries a device": f"{row['attempts_a_device']:.1f}",
        "rows delayed": f"{row['rows_delayed']:,}",
        "rows thinned out": f"{row['rows_thinned_out']:,}",
        "rows lost": f"{row['rows_lost']:,}",
        "fullest buffer": f"{row['fullest_buffer']:.0%}",
    }


def _columns() -> tuple[str, ...]:
    console = Console()
    return NARROW_COLUMNS if console.is_terminal and console.width < WIDE else COLUMNS


def _span(seconds: float | None) -> str:
    return "never seen" if seconds is None else f"{seconds:,.0f} s"


def _seconds(option: str, text: str) -> int:
    found = re.fullmatch(r"(\d{1,7})([smh])", text)
    if found is None:
        raise RefusedError(f"{option}: {text!r} is no time; write a whole number and its unit, such as 90s, 30m or 2h")
    seconds = int(found[1]) * UNITS[found[2]]
    if seconds > MAX_OUTAGE_SECONDS:
        raise RefusedError(f"{option}: {text} is longer than a week; choose at most {MAX_OUTAGE_SECONDS // 3600}h")
    return seconds
