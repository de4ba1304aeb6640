"""The picture of an outage: connects a second, the fleet coming back, and the quiet day beside a synchronized one.

The same courses give the same bytes: no date, no random ids, letters as shapes of matplotlib's own font. Each curve has
an id of its own, such as `connects-contract`, and no curve's place depends on the others.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from fleet.outage.course import Course, Run
from fleet.outage.policy import PICTURED, Counts, Floats, Policy
from fleet.outage.publishing import PUBLISHES_PER_SECOND
from fleet.outage.simulation import Outage

COLOURS = ("#0f766e", "#b45309", "#7c3aed", "#2563eb", "#dc2626")
"""Teal, amber, violet, blue, red."""
STEP_SECONDS = 60
"""A point of a curve stands for a minute, and for the most connects in any second of it."""
FEWEST_SHOWN = 100
"""Devices: of a smaller fleet the scales, which begin at 10 and 100 a second, would end where they begin."""
ANSWERS = {
    "refuses": "Back, if the broker refuses above its quota (AWS IoT Core)",
    "queues": "Back, if the broker queues handshakes (mosquitto)",
}
SETTINGS: dict[Any, Any] = {
    "svg.hashsalt": "flotilla",
    "svg.fonttype": "path",
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "lines.linewidth": 1.2,
}


def draw(outage: Outage, runs: Sequence[Run], quiet: Counts, together: Counts, path: Path) -> None:
    """Write the picture as SVG. `quiet`, `together`: publishes a second by the schedule, and synchronized."""
    with mpl.rc_context(SETTINGS):
        figure = Figure(figsize=(12.5, 8.6), layout="constrained")
        FigureCanvasSVG(figure)
        ((connects, publishes), (refused, queued)) = figure.subplots(2, 2)
        _connects(connects, outage, [run for run in runs if run.broker == "refuses"])
        _publishes(publishes, outage.devices, quiet, together)
        for axes, (broker, title) in zip((refused, queued), ANSWERS.items(), strict=True):
            _back(axes, outage, [run for run in runs if run.broker == broker], title)
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def colour(policy: Policy) -> str:
    """Of a policy, the same in every panel."""
    return COLOURS[PICTURED.index(policy.name)]


def _connects(axes: Axes, outage: Outage, runs: Sequence[Run]) -> None:
    for run in runs:
        attempts = _most_in_steps(run.course.attempts)
        minutes = np.arange(len(attempts)) * STEP_SECONDS / 60
        (line,) = axes.plot(minutes, np.maximum(attempts, 0.5), color=colour(run.policy), label=run.policy.name)
        line.set_gid(f"connects-{run.policy.name}")
    axes.axhline(outage.connects_per_second, color="black", linewidth=1, linestyle="--")
    axes.text(0.4, outage.connects_per_second * 1.2, f"quota: {outage.connects_per_second:,} connects/s")
    axes.set_yscale("log")
    axes.set_ylim(10, max(outage.devices, FEWEST_SHOWN) * 10)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    _outage(axes, outage, runs)
    axes.set_ylabel("connects/s, the most in each minute")
    axes.set_xlabel("minutes since the cluster was lost")
    axes.set_title(f"{outage.devices:,} devices lose their cluster for {outage.seconds / 60:g} minutes", loc="left")
    axes.legend(loc="upper right", ncols=3, framealpha=0.9)


def _back(axes: Axes, outage: Outage, runs: Sequence[Run], title: str) -> None:
    start, ideal = outage.seconds / 60, outage.ideal_seconds / 60
    axes.plot([start, start + ideal], [0, 100], color="black", linewidth=1, linestyle="--", label="ideal")
    for run in runs:
        minutes, share = _share_back(run.course)
        label = f"{run.policy.name}: {_recovery(run.course)}"
        (line,) = axes.plot(minutes, share, color=colour(run.policy), linewidth=1.6, label=label)
        line.set_gid(f"back-{run.broker}-{run.policy.name}")
    axes.set_ylim(-5, 185)
    axes.set_yticks(range(0, 101, 20))
    _outage(axes, outage, runs)
    axes.set_ylabel("devices back, %")
    axes.set_xlabel("minutes since the cluster was lost")
    axes.set_title(title, loc="left")
    axes.legend(loc="upper left", framealpha=0.9)


def _recovery(course: Course) -> str:
    if course.recovery is None:
        return f"{course.back / course.devices:.1%} when the watch ends"
    return f"all after {course.recovery:.2f} x ideal"


def _publishes(axes: Axes, devices: int, quiet: Counts, together: Counts) -> None:
    minutes = np.arange(len(quiet)) / 60
    axes.plot(minutes, np.maximum(together, 0.5), color="#dc2626", linewidth=1, label="every 60 s, synchronized")
    (line,) = axes.plot(minutes, np.maximum(quiet, 0.5), color="#0f766e", label="45 + random(30) s, same start")
    line.set_gid("publishes")
    axes.axhline(PUBLISHES_PER_SECOND, color="black", linewidth=1, linestyle="--")
    axes.text(minutes[-1], PUBLISHES_PER_SECOND * 1.3, f"quota: {PUBLISHES_PER_SECOND:,} publishes/s ", ha="right")
    axes.set_yscale("log")
    axes.set_ylim(100, max(devices, FEWEST_SHOWN) * 10)
    axes.set_xlim(0, minutes[-1])
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.set_ylabel("publishes/s")
    axes.set_xlabel("minutes since all started in the same second")
    axes.set_title(f"A quiet day: {devices:,} devices publish a batch a minute", loc="left")
    axes.legend(loc="upper right", ncols=2, framealpha=0.9)


def _outage(axes: Axes, outage: Outage, runs: Sequence[Run]) -> None:
    axes.axvspan(0, outage.seconds / 60, color="#e2e8f0", linewidth=0)
    axes.set_xlim(0, max(len(run.course.attempts) for run in runs) / 60)
    axes.grid(visible=True, axis="both", linewidth=0.3)


def _most_in_steps(attempts: Counts) -> Counts:
    steps = -(-len(attempts) // STEP_SECONDS)
    padded = np.zeros(steps * STEP_SECONDS, dtype=np.int64)
    padded[: len(attempts)] = attempts
    most: Counts = padded.reshape(steps, STEP_SECONDS).max(axis=1)
    return most


def _share_back(course: Course) -> tuple[Floats, Floats]:
    share = 100 * np.cumsum(course.accepted) / course.devices
    seconds = np.append(np.arange(0, len(share), STEP_SECONDS), len(share) - 1)
    return seconds / 60, share[seconds]
