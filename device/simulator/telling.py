"""A report for people: one table of numbers, and a line for each thing that must be so."""

from typing import Any

from rich.console import Console
from rich.table import Table

from device.simulator.report import Report


def tell(report: Report, console: Console) -> None:
    """Print it."""
    numbers = report.numbers
    table = Table(title=f"{numbers['scenario']}: {numbers['says']}", title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for name, value in _rows(numbers):
        table.add_row(name, value)
    console.print(table)
    for finding in report.findings:
        mark, style = ("holds ", "green") if finding.holds else ("BROKEN", "red")
        detail = f": {finding.detail}" if finding.detail else ""
        console.print(f"{mark}  {finding.rule}{detail}", style=style, markup=False, soft_wrap=True)


def _rows(numbers: dict[str, Any]) -> list[tuple[str, str]]:
    dropped = numbers["rows_dropped"]
    rows = [
        ("devices", f"{numbers['devices_count']:,}"),
        ("rows measured", f"{numbers['rows_measured']:,}"),
        ("rows acknowledged", f"{numbers['rows_acknowledged']:,}"),
        ("rows dropped", ", ".join(f"{count:,} {reason}" for reason, count in dropped.items()) or "0"),
        ("rows waiting", f"{numbers['rows_waiting']:,}"),
        ("batches", f"{numbers['batches']:,}"),
        ("reconnects", f"{numbers['reconnects']:,}"),
        ("quota, connects/s", f"{numbers['connects_per_second_quota']:,}"),
        ("peak connects/s", f"{numbers['peak_attempts_per_second']:,}"),
        ("window", f"{numbers['window_seconds']:,.0f} s"),
    ]
    for story in numbers["stories"]:
        rows += _return(story)
    if numbers["peak_buffer_bytes_a_device"]:
        rows.append(("largest buffer", f"{numbers['peak_buffer_bytes_a_device']:,} bytes"))
    rows += [
        ("memory a device, network included", f"{numbers['kib_a_device']:,.0f} KiB"),
        ("took", f"{numbers['took_seconds']:,.0f} s at pace {numbers['pace']:g}"),
    ]
    return rows


def _return(story: dict[str, Any]) -> list[tuple[str, str]]:
    """How the fleet came back after a story in which it was away."""
    peak, back = story["peak_attempts_per_second_once_restored"], story["seconds_until_all_back"]
    if back is None:
        return []
    return [(f"{story['story']}: all back after", f"{back:,.0f} s, at most {peak:,} connects/s")]
