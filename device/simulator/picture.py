"""The picture of a run: who is connected, connects a second against the quota, and rows that wait."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from device.simulator.fleet import Fleet

SETTINGS: dict[Any, Any] = {
    "svg.hashsalt": "flotilla",
    "svg.fonttype": "path",
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "lines.linewidth": 1.2,
}
TEAL, AMBER, RED = "#0f766e", "#b45309", "#dc2626"


def draw(fleet: Fleet, path: Path) -> None:
    """Write it as SVG."""
    course, scenario = fleet.course, fleet.scenario
    times = [look.at for look in course.looks]
    seconds = range(min(course.attempts, default=0), max(course.attempts, default=0) + 1)
    with mpl.rc_context(SETTINGS):
        figure = Figure(figsize=(9, 7), layout="constrained")
        FigureCanvasSVG(figure)
        connected, attempts, waiting = figure.subplots(3, 1, sharex=True)
        connected.plot(times, [look.connected for look in course.looks], color=TEAL)
        connected.set_ylabel("devices connected")
        connected.set_title(f"{scenario.name}: {scenario.says}", loc="left")
        attempts.plot(seconds, [course.attempts.get(second, 0) for second in seconds], color=AMBER)
        attempts.axhline(fleet.connects_per_second, color="black", linewidth=1, linestyle="--", label="quota")
        attempts.legend(loc="upper right")
        attempts.set_ylabel("connects/s")
        waiting.plot(times, [look.waiting for look in course.looks], color=RED)
        waiting.set_ylabel("rows waiting")
        waiting.set_xlabel("seconds of the devices' time since the scenario began")
        for axes in (connected, attempts, waiting):
            axes.grid(visible=True, linewidth=0.3)
            axes.set_ylim(bottom=0)
            for at in course.acts:
                axes.axvline(at, color="#94a3b8", linewidth=0.8, linestyle=":")
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
