"""`python -m device`: the reference device at a command line.

Exit codes: 0 done, 1 the machine failed it at work, 2 bad input, 3 could not connect or deliver, 130 told twice to end.
"""

import asyncio
import os
import signal
import sys
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console

from device.agent import Agent, CannotConnectError
from device.assembly import assemble, surroundings_of
from device.buffer.capacity import MIN_BYTES
from device.enrolment import EnrolmentError, make_request
from device.link import Credentials
from device.occupancy import OccupiedError, occupied
from device.papers import PapersError, check_papers
from device.resolution import HostPort
from device.settings import Settings
from device.simulator.command import run as simulate
from device.slot_keeper import SlotKeeper
from device.status_command import status
from device.surroundings import Emit, utc_now
from device.telling import Telling, as_line
from device.telling import as_json as as_json_line
from protocol.buffer_room import BUFFER_BYTES
from protocol.bundle import BUNDLE_FILE, CHAIN_FILE, KEY_FILE, TRUST_ANCHORS_FILE
from protocol.device_id import InvalidDeviceIdError, parse_device_id
from protocol.traffic import ROUTE_WATCH

FAILED = 1
BAD_INPUT = 2
NOT_DELIVERED = 3
INTERRUPTED = 130
"""As shells have it after a SIGINT."""

app = typer.Typer(help="The reference device.", no_args_is_help=True, add_completion=False)
_err = Console(stderr=True, highlight=False)
app.command()(status)


def _refuse(message: str, code: int = BAD_INPUT) -> typer.Exit:
    _err.print(message, style="red", markup=False, soft_wrap=True)
    return typer.Exit(code)


@app.command()
def key(
    device: Annotated[str, typer.Option(help="The device's id.")],
    out: Annotated[Path, typer.Option(help="The folder that holds its key.")],
) -> None:
    """Make the device's own key, once, and a request for its certificate."""
    try:
        path = make_request(parse_device_id(device), out)
    except (InvalidDeviceIdError, EnrolmentError) as error:
        raise _refuse(str(error)) from None
    except OSError as error:
        raise _refuse(f"{error.filename}: {error.strerror}") from None
    Console(highlight=False, soft_wrap=True).print(f"request for {device}: {path}", markup=False)


app.command("simulate")(simulate)


@app.command()
def run(  # noqa: PLR0917 - typer gives every option by name
    bundle: Annotated[Path, typer.Option(help="The folder the factory handed over.")],
    key: Annotated[Path | None, typer.Option(help="The private key, when it is not in the bundle.")] = None,
    proxy: Annotated[str | None, typer.Option(help="HOST:PORT of an HTTP CONNECT proxy.")] = None,
    dns: Annotated[str | None, typer.Option(help="ADDRESS:PORT of a resolver other than the machine's.")] = None,
    operator: Annotated[str, typer.Option(help="The mobile network it takes itself to be in.")] = "",
    batches: Annotated[int | None, typer.Option(min=1, help="Stop after so many acknowledged batches.")] = None,
    rows: Annotated[int | None, typer.Option(min=1, max=1000, help="Rows a batch; else what the window says.")] = None,
    sample_every: Annotated[
        float | None,
        typer.Option(min=0.01, max=3600, help="Seconds between two rows, whatever the configuration says."),
    ] = None,
    watch_route_every: Annotated[
        float, typer.Option(min=1, max=86400, help="Seconds between two looks at where its own name leads.")
    ] = ROUTE_WATCH.total_seconds(),
    attempts: Annotated[
        int | None, typer.Option(min=1, help="Failures in a row before it gives up; else never.")
    ] = None,
    buffer_bytes: Annotated[
        int, typer.Option(min=MIN_BYTES, help="The most its buffer takes of the disk.")
    ] = BUFFER_BYTES,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print events as JSON lines.")] = False,
) -> None:
    """Connect by the device's own name and deliver measurements."""
    telling = Telling(as_json_line if as_json else as_line)
    try:
        settings = Settings(
            credentials=Credentials(bundle / CHAIN_FILE, key or bundle / KEY_FILE, bundle / TRUST_ANCHORS_FILE),
            proxy=HostPort.parse(proxy, option="--proxy") if proxy else None,
            operator=operator,
            batches=batches,
            rows=rows,
            sample_every=timedelta(seconds=sample_every) if sample_every else None,
            watch_route_every=timedelta(seconds=watch_route_every),
            attempts=attempts,
        )
        resolver = HostPort.parse_address(dns, option="--dns") if dns else None
    except ValueError as error:
        raise _refuse(str(error)) from None
    with ExitStack() as held:
        try:
            held.enter_context(occupied(bundle))
        except OccupiedError as error:
            raise _refuse(str(error)) from None
        except OSError as error:
            raise _refuse(_no_folder(error)) from None
        agent = _put_together(bundle, settings, resolver, buffer_bytes, telling)
        _note_operator(operator, agent)
        summary = _run(agent, telling)
    telling(summary)
    if summary["wants_restart"]:
        # As a boot loader would: the same command anew, with nothing of this start left.
        os.execv(sys.executable, [sys.executable, "-m", "device", *sys.argv[1:]])  # noqa: S606 - its own command


def _note_operator(operator: str, agent: Agent) -> None:
    """A slip in a name costs nothing but the interval that was meant, and would never show."""
    known = agent.bundle.keep_alive_seconds_by_operator
    if operator and known and operator not in known:
        names, usual = ", ".join(sorted(known)), agent.bundle.keep_alive_seconds
        told = f"--operator {operator}: is none of the bundle's ({names}); the device pings every {usual} s"
        _err.print(told, markup=False, soft_wrap=True)


def _no_folder(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}; give the folder that `provisioning issue` wrote"


def _run(agent: Agent, telling: Telling) -> dict[str, Any]:
    try:
        return asyncio.run(_work(agent, telling))
    except CannotConnectError as error:
        tries = agent.settings.attempts
        raise _refuse(f"{agent.bundle.device}: gave up after {tries} attempts: {error}", NOT_DELIVERED) from None
    except asyncio.CancelledError:
        raise typer.Exit(INTERRUPTED) from None
    except OSError as error:
        raise _refuse(f"{agent.bundle.device}: the machine failed it at work: {error}", FAILED) from None
    finally:
        agent.store.close()


async def _work(agent: Agent, telling: Telling) -> dict[str, Any]:
    """Run, and end in order when asked to, at once when asked twice; the next start delivers what is left.

    A reader of the events that goes away asks once.
    """
    working = asyncio.current_task()

    def end() -> None:
        if agent.is_stopping and working:
            working.cancel()
        agent.stop()

    for asked in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(asked, end)
    telling.when_unheard = agent.stop
    if not telling.is_heard:
        agent.stop()
    trial = asyncio.ensure_future(_slots(agent).watch_trial(agent.restart))
    try:
        return await agent.run()
    finally:
        trial.cancel()


def _slots(agent: Agent) -> SlotKeeper:
    return next(each for each in agent.companions if isinstance(each, SlotKeeper))


def _put_together(folder: Path, settings: Settings, resolver: HostPort | None, buffer_bytes: int, emit: Emit) -> Agent:
    credentials = settings.credentials
    try:
        for path in (credentials.chain, credentials.key, credentials.trust_anchors):
            if (folder / BUNDLE_FILE).is_file() and not path.is_file():
                raise _refuse(f"{path}: there is no such file; the agent cannot prove who it is, or check who answers")
        check_papers(credentials)
        surroundings = surroundings_of(settings, clock=utc_now, resolver=resolver)
        return assemble(folder, settings, surroundings, emit=emit, buffer_bytes=buffer_bytes)
    except OSError as error:
        raise _refuse(_no_folder(error)) from None
    except PapersError as error:
        raise _refuse(str(error)) from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the document"
        raise _refuse(f"{folder / BUNDLE_FILE}: {where}: {first['msg']}; issue the bundle again") from None


if __name__ == "__main__":
    app()
