"""`python -m device simulate`: a fleet through a scenario, live, and what came of it."""

import json
import os
import resource
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import track

from device.buffer.capacity import MIN_BYTES
from device.resolution import HostPort
from device.simulator.ending import ending_in_order
from device.simulator.fleet import Fleet, FleetLostError
from device.simulator.given_ground import GivenGround, NotPossibleError
from device.simulator.ground import Ground
from device.simulator.identities import make_devices, window_of
from device.simulator.live import Live
from device.simulator.mosquitto import NoBrokerError, find_mosquitto
from device.simulator.own_ground import DOMAIN, OwnGround
from device.simulator.report import Report
from device.simulator.scenario import SCENARIOS
from device.simulator.simulate import BUFFER_BYTES, Order, simulate
from device.simulator.telling import tell
from protocol.bundle import BUNDLE_FILE, Bundle, read_bundle
from protocol.device_id import parse_device_id

BAD_INPUT = 2
DID_NOT_HOLD = 1
MAX_FLEET = 5_000
"""What one process holds on a usual machine: three sockets a device of a limit of 20,000, and 90 KiB."""
SOCKETS_A_DEVICE = 3
"""Its own, and two of the network's."""
OTHER_FILES = 200
ScenarioName = StrEnum("ScenarioName", {name.replace("-", "_").upper(): name for name in SCENARIOS})  # type: ignore[misc]  # from data


class Keep(StrEnum):
    """Where simulated devices keep their rows."""

    MEMORY = "memory"
    DISK = "disk"


_err = Console(stderr=True, highlight=False)


def _refuse(message: str, code: int = BAD_INPUT) -> typer.Exit:
    _err.print(message, style="red", markup=False, soft_wrap=True)
    return typer.Exit(code)


def run(  # noqa: PLR0917 - typer gives every option by name
    scenario: Annotated[ScenarioName, typer.Option(help="What happens to the fleet.")],
    fleet: Annotated[int, typer.Option(min=1, max=MAX_FLEET, help="How many devices.")] = 100,
    pace: Annotated[float, typer.Option(min=0.1, max=60, help="Seconds of the devices' time in one of ours.")] = 10,
    connects_per_second: Annotated[
        int, typer.Option(min=1, help="The quota, in the devices' time; the fleet's window follows from it.")
    ] = 20,
    sample_every: Annotated[float, typer.Option(min=0.1, max=3600, help="Seconds between two rows.")] = 10,
    batch_every: Annotated[float, typer.Option(min=1, max=3600, help="The age at which rows leave.")] = 75,
    keep: Annotated[Keep, typer.Option(help="Rows in memory, or each device's in its durable buffer.")] = Keep.MEMORY,
    buffer_bytes: Annotated[int, typer.Option(min=MIN_BYTES, help="The bound of each buffer.")] = BUFFER_BYTES,
    bundles: Annotated[
        Path | None, typer.Option(help="A folder with a bundle a folder, of devices that a deployment knows.")
    ] = None,
    dns: Annotated[str | None, typer.Option(help="With --bundles: ADDRESS:PORT of the deployment's resolver.")] = None,
    proxy: Annotated[str | None, typer.Option(help="With --bundles: HOST:PORT of the CONNECT proxy to it.")] = None,
    svg: Annotated[Path | None, typer.Option(help="Draw the run into this file.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the devices' random waits.")] = 1,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="The whole report, device by device, as JSON.")] = False,
) -> None:
    """Take a fleet of real agents through an outage, on real connections.

    Without --bundles the clusters are two mosquittos of its own on loopback, and the identities are thrown away.
    """
    story = SCENARIOS[scenario.value]
    if svg is not None:
        _refuse_unwritable(svg)
    order = Order(
        scenario=story,
        connects_per_second=connects_per_second,
        pace=pace,
        sample_every=timedelta(seconds=sample_every),
        batch_every=timedelta(seconds=batch_every),
        on_disk=keep is Keep.DISK,
        buffer_bytes=buffer_bytes,
        seed=seed,
    )
    try:
        _open_files(fleet)
        with ending_in_order():
            report, course = (
                _given(order, fleet, bundles, dns, proxy, as_json=as_json)
                if bundles is not None
                else _own(order, fleet, dns, proxy, as_json=as_json)
            )
    except (NotPossibleError, NoBrokerError) as error:
        raise _refuse(str(error)) from None
    except (FleetLostError, OSError) as error:
        raise _refuse(str(error), DID_NOT_HOLD) from None
    if as_json:
        typer.echo(json.dumps(report.to_json(), indent=2))
    else:
        tell(report, Console(highlight=False))
    if svg is not None:
        _draw(course, svg)
    if not report.holds:
        raise typer.Exit(DID_NOT_HOLD)


def _refuse_unwritable(svg: Path) -> None:
    """Before the run, which may take minutes, and not after it."""
    if not svg.parent.is_dir():
        raise _refuse(f"--svg: {svg.parent} is no folder; make it first")
    if svg.is_dir():
        raise _refuse(f"--svg: {svg} is a folder; name a file in it, such as {svg / 'run.svg'}")
    if not os.access(svg if svg.exists() else svg.parent, os.W_OK):
        raise _refuse(f"--svg: {svg} may not be written; name another file")


def _draw(course: Fleet, svg: Path) -> None:
    from device.simulator.picture import draw  # noqa: PLC0415 - matplotlib takes a second, and is for pictures only

    try:
        draw(course, svg)
    except OSError as error:
        raise _refuse(f"--svg: {svg}: {error.strerror}; the report is whole", DID_NOT_HOLD) from None


def _own(order: Order, fleet: int, dns: str | None, proxy: str | None, *, as_json: bool) -> tuple[Report, Fleet]:
    if dns or proxy:
        raise NotPossibleError("--dns and --proxy say where a deployment is; give the --bundles of its devices too")
    find_mosquitto()
    with tempfile.TemporaryDirectory(prefix="flotilla-fleet-") as name:
        folder = Path(name)
        ground = OwnGround(folder / "clusters", lambda: datetime.now(UTC))
        devices = [parse_device_id(f"simulated{number}") for number in range(fleet)]
        making = make_devices(
            folder / "devices",
            devices,
            ground.authority.issue,
            anchors=ground.authority.write(folder / "trust-anchors.pem"),
            domain=DOMAIN,
            reconnect_window=window_of(fleet, order.connects_per_second),
            now=datetime.now(UTC),
        )
        shown = not as_json and sys.stderr.isatty()
        folders = list(track(making, "identities", total=fleet, console=_err, disable=not shown, transient=True))
        return _run(order, lambda: ground, folders, as_json=as_json)


def _given(
    order: Order, fleet: int, bundles: Path, dns: str | None, proxy: str | None, *, as_json: bool
) -> tuple[Report, Fleet]:
    impossible = order.scenario.needs & GivenGround.cannot
    if impossible:
        raise NotPossibleError(
            f"--scenario {order.scenario.name} is not possible with --bundles: a deployment's names and certificates "
            "are changed by `python -m fleet route` and `python -m provisioning`; leave --bundles out"
        )
    folders = sorted(path.parent for path in bundles.glob(f"*/{BUNDLE_FILE}"))[:fleet]
    if len(folders) < fleet:
        raise NotPossibleError(f"--bundles: {bundles} holds {len(folders)} bundles, and --fleet asks for {fleet}")
    domains = {_bundle(folder).domain for folder in folders}
    if len(domains) > 1:
        raise NotPossibleError(f"--bundles: devices of several domains, {', '.join(sorted(domains))}; give one's")
    try:
        resolver = HostPort.parse_address(dns, option="--dns") if dns else None
        beyond = HostPort.parse(proxy, option="--proxy") if proxy else None
    except ValueError as error:
        raise NotPossibleError(str(error)) from None
    ground = GivenGround(domains.pop(), resolver=resolver, beyond=beyond)
    return _run(order, lambda: ground, folders, as_json=as_json)


def _bundle(folder: Path) -> Bundle:
    try:
        return read_bundle(folder)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the document"
        raise NotPossibleError(f"{folder / BUNDLE_FILE}: {where}: {first['msg']}; issue it again") from None
    except OSError as error:
        raise NotPossibleError(f"{folder / BUNDLE_FILE}: {error.strerror}; issue it again") from None


def _run(order: Order, ground: Callable[[], Ground], folders: list[Path], *, as_json: bool) -> tuple[Report, Fleet]:
    with Live(_err, order.scenario, len(folders), quiet=as_json) as live:
        return simulate(order, ground, folders, live.look)


def _open_files(fleet: int) -> None:
    """As many as the machine lets this process have; refused when that is too few."""
    needed = fleet * SOCKETS_A_DEVICE + OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and needed > hard:
        raise NotPossibleError(
            f"--fleet: {fleet:,} devices need {needed:,} open files, and this user may have {hard:,} (ulimit -Hn); "
            f"take at most {(hard - OTHER_FILES) // SOCKETS_A_DEVICE:,} devices, or have the limit raised"
        )
    if soft != resource.RLIM_INFINITY and needed > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
