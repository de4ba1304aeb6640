"""`python -m benchmarks`: a table for people, `build/bench.json` for machines. Any error ends it, non-zero."""

import json
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import (
    agents,
    batches,
    buffering,
    ingesting,
    issuing,
    issuing_ledger,
    ordering,
    outages,
    planning,
    revoking,
)
from benchmarks.measure import Result

REPORT = Path(__file__).resolve().parent.parent / "build" / "bench.json"


def report(results: Iterable[Result], path: Path, console: Console) -> None:
    """Show the results, and write them as a list of name, value, unit, ratio, against."""
    table = Table("benchmark", title="Ratios of this machine, this run")
    for column in ("value", "unit", "ratio"):
        table.add_column(column, justify="right" if column != "unit" else "left")
    table.add_column("against")
    rows = list(results)
    for row in rows:
        table.add_row(row.name, f"{row.value:,.2f}", row.unit, f"{row.ratio:.3f}", row.against)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n", encoding="utf-8")
    console.print(table)


if __name__ == "__main__":
    clock = time.perf_counter
    benchmarks = (agents, batches, ingesting, buffering, issuing, issuing_ledger, ordering, outages, planning, revoking)
    results = [result for benchmark in benchmarks for result in benchmark.results(clock)]
    report(results, REPORT, Console(width=120))
