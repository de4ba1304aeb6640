"""Planning against reading the same fleet with the `csv` module: devices a second, and memory that does not follow N.

Each size runs in a process of its own, so that its peak is its own; CPU time counts, because machines are shared. The
fleet is a file, every cluster knows all of it, and a policy moves a hundred devices, or every one.
"""

import csv
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.measure import Clock, Result, compared
from device.simulator.memory import peak_kib
from fleet.plan_making import Allocate, Terms, World, make_plan
from fleet.routing.allocation import ByDevice, Fixed, Keep, Policy, Weighted
from fleet.routing.places import Place, Places
from fleet.routing.plan import PLAN_VERSION, Header
from fleet.routing.planner import Limits
from fleet.routing.requests import Defaults
from fleet.routing.route import Route
from fleet.routing.route_table import PlanEntry
from fleet.routing.target import Target
from protocol.device_id import DeviceId

SIZES = (10_000, 100_000, 1_000_000)
FEW = 100
DOMAIN = "iot.example.com"
CLUSTERS = ("eu1", "eu2", "eu3")
_KIB_IN_MIB = 1024


def results(clock: Clock) -> Iterator[Result]:  # noqa: ARG001  # each process has its own
    """Speed and peak memory, for few and for all devices changing."""
    for what in ("few", "all"):
        least = 0.0
        for size in SIZES:
            told = json.loads(
                subprocess.run(
                    [sys.executable, "-m", "benchmarks.planning", str(size), what],
                    capture_output=True,
                    text=True,
                    check=True,
                ).stdout
            )
            name = f"plan, {size:,} devices, {what} change"
            least = least or told["peak"]
            yield compared(
                name, size / told["seconds"], "devices/s", limit=size / told["csv"], against="csv.reader of the fleet"
            )
            yield compared(f"{name}: peak", told["peak"], "MiB", limit=least, against=f"{SIZES[0]:,} devices")


class EmptyTable:
    """A route table in which nobody has a route: what planning reads of it."""

    def read(self, devices: Iterable[DeviceId]) -> dict[DeviceId, Route]:  # noqa: ARG002
        """Nobody."""
        return {}

    def scan(self) -> Iterator[Route]:
        """Nobody."""
        return iter(())

    def read_plan(self, plan: str) -> PlanEntry | None:  # noqa: ARG002
        """None was begun."""
        return None


def measure(size: int, what: str, folder: Path) -> dict[str, float]:
    """CPU seconds to plan and to read the same file, and the process's peak in MiB."""
    roster = folder / "fleet.csv"
    with roster.open("w", encoding="utf-8") as file:
        file.write("device,model,country\n")
        file.writelines(f"{_device(number)},fl100,DE\n" for number in range(size))
    started = time.process_time()
    with roster.open(encoding="utf-8", newline="") as file:
        rows = sum(1 for _ in csv.reader(file))
    read = time.process_time() - started
    started = time.process_time()
    made = make_plan(Allocate(_policy(size, what)), _world(size, roster), _terms(), _header(), folder / "plan")
    planned = time.process_time() - started
    expected = size if what == "all" else FEW
    if rows != size + 1 or made.tally.changes != expected or made.tally.refused:
        raise ValueError(f"{made.tally} is not what {size} devices of which {what} change come to")
    peak = peak_kib() / _KIB_IN_MIB
    return {"seconds": planned, "csv": read, "peak": peak}


def _device(number: int) -> DeviceId:
    return DeviceId(f"device-{number:07}")


def _policy(size: int, what: str) -> Policy:
    if what == "all":
        return Weighted({"eu2": 3, "eu3": 1})
    return ByDevice({_device(number): Fixed(Target(cluster="eu2")) for number in range(0, size, size // FEW)}, Keep())


def _world(size: int, roster: Path) -> World:
    def listed(_: str) -> Iterator[tuple[str, str]]:
        return ((_device(number), "fl100") for number in range(size))

    return World(
        places=Places(
            domain=DOMAIN,
            clusters={
                name: Place(
                    kind="managed",
                    residency="EU",
                    server_name=f"{name}.clusters.{DOMAIN}",
                    max_connections=2_000_000,
                    max_connects_per_second=500,
                )
                for name in CLUSTERS
            },
            default=CLUSTERS[:1],
            default_follows_the_place=False,
            pins={},
        ),
        residencies=("EU",),
        table=EmptyTable(),
        listed=listed,
        found=lambda cluster, _: listed(cluster),
        roster=roster,
    )


def _terms() -> Terms:
    return Terms(
        defaults=Defaults(owner="benchmark", reason="a benchmark"),
        limits=Limits(max_share_percent=100, max_connections=10 * SIZES[-1]),
        approved_by="",
        is_strict=True,
        now=datetime.now(UTC),
    )


def _header() -> Header:
    return Header(
        version=PLAN_VERSION,
        environment="dev",
        domain=DOMAIN,
        zone_id="Z0123456789ABC",
        route_table="flotilla-dev-routes",
        clusters={},
        made_by="benchmark",
        made_at=datetime.now(UTC),
        request="--allocate",
        approved_by="",
        undoes="",
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        sys.stdout.write(json.dumps(measure(int(sys.argv[1]), sys.argv[2], Path(place))))
