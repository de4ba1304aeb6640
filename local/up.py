"""Brings a stack up on a desk: cells, network, the program applied, its outputs written."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from local.apply import ApplyError, Deployer
from local.cells import Cells, start_cells
from local.ceremony import ways_to_certificates
from local.cloud import Cloud
from local.deployment import Deployment, summarize
from local.desk import AUTHORITIES, OUTPUTS_FILE, CellAddress, DeskRecord, claim_desk, sole_use, write_desk
from local.network_process import Network, start_network
from local.program import PROJECT_ROOT, ProgramRun, run_program
from local.progress import Progress, Quiet
from local.state import State, read_state
from local.write_file import write_file
from stacks.environment import Environment
from stacks.load import load_environment
from stacks.outputs import Outputs

ROUTE53_REGION = "us-east-1"
"""Where Route 53 wants its query log group and DNSSEC key, whatever region all else is in."""


def bring_up(
    stack: str,
    home: Path,
    *,
    config: Mapping[str, str] | None = None,
    progress: Progress | None = None,
    project_root: Path = PROJECT_ROOT,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Deployment:
    """The stack, running on the desk in `home`; harmless when repeated, and then nothing is created.

    `config` adds to the program's configuration. Raises `StackError`, `DeskError`, `CellError`, `NetworkError`,
    `StateError`, `ProgramError` or `ApplyError`; each names what is wrong and the way out, and the desk may be brought
    up again.
    """
    told = progress or Quiet()
    home = home.absolute()
    environment = load_environment(stack, today=clock().date())
    claim_desk(home, stack)  # before the lock is put there: a folder of somebody else's is left untouched
    with sole_use(home):
        claim_desk(home, stack)
        told.stage(f"starting the cells of {stack}")
        cells, state, started_anew = _cells_and_state(home, environment)
        if started_anew:
            told.stage(f"starting anew: {started_anew}")
        network = start_network(home, cells, domain=environment.domain, vantage_region=environment.home_region)
        record = _record(stack, cells, network)
        write_desk(home, record)
        told.stage(f"applying {stack}")
        cloud = Cloud({region: cell.endpoint for region, cell in cells.cells.items()}, cells.home_region, project_root)
        deployer = Deployer(cloud, state, told.resource)
        settings = {"flotilla:authorities_directory": str(home / AUTHORITIES), **(config or {})}
        run = run_program(stack, deployer, preview=False, config=settings, project_root=project_root)
        deployer.delete_gone()
        outputs = _write_outputs(stack, home, run)
    outcomes = deployer.outcomes()
    return Deployment(stack, home, record, outputs, outcomes, summarize(outcomes, run.resources), started_anew)


def _regions(environment: Environment) -> tuple[str, ...]:
    wanted = [cluster.region for cluster in environment.clusters.values()]
    if environment.routing.dnssec or environment.routing.query_logging:
        wanted.append(ROUTE53_REGION)
    return tuple(dict.fromkeys([environment.home_region, *wanted]))


def _cells_and_state(home: Path, environment: Environment) -> tuple[Cells, State, str]:
    """Cells, and a state that tells the truth about them; where it cannot, both begin anew, and the reason."""

    def start() -> Cells:
        return start_cells(home, _regions(environment), home_region=environment.home_region, domain=environment.domain)

    state = read_state(home)
    interrupted = state.interrupted()
    cells = start()
    reason = ""
    if interrupted:
        first = interrupted[0]
        reason = f"an earlier run ended in the middle of {first.type} {first.name}, so nobody knows what exists"
    elif state.entries() and state.incarnations != _incarnations(cells):
        reason = "cells were started, stopped or lost since the last run, so the cloud is not what it was"
    if reason:
        cells.stop()
        cells = start()
    if state.incarnations != _incarnations(cells):
        state.start_anew(_incarnations(cells))
    return cells, state, reason


def _incarnations(cells: Cells) -> dict[str, str]:
    return {region: cell.incarnation for region, cell in sorted(cells.cells.items())}


def _record(stack: str, cells: Cells, network: Network) -> DeskRecord:
    return DeskRecord(
        stack=stack,
        home_region=cells.home_region,
        aws_endpoint_url=network.front_door_url,
        dns="{}:{}".format(*network.dns_address),
        proxy="{}:{}".format(*network.proxy_address),
        cells={
            region: CellAddress(endpoint=cell.endpoint, mqtt_port=cell.mqtt_port)
            for region, cell in sorted(cells.cells.items())
        },
    )


def _write_outputs(stack: str, home: Path, run: ProgramRun) -> Outputs:
    """The program's exports, but for what they say of making certificates: a desk makes its own."""
    try:
        outputs = Outputs.model_validate(run.exports)
    except ValidationError as error:
        raise ApplyError(f"the program's exports are not what stacks/outputs.py says: {error}") from error
    wanted = dict(ways_to_certificates(outputs, stack, home))
    outputs = outputs.model_copy(update={"authorities_without_certificate": wanted})
    write_file(home / OUTPUTS_FILE, outputs.model_dump_json(indent=2))
    return outputs
