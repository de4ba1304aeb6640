"""Which of the four things `route plan` is asked for, from its options; exactly one of them."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from fleet.errors import RefusedError
from fleet.plan_making import Allocate, Drain, Request, Rows, Single
from fleet.policy_file import read_policy
from stacks.outputs import Outputs

_ONE_OF = "give one of FILE, --device ID --to TARGET, --drain CLUSTER --percent N, --allocate POLICY"


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options that say what is asked for, as they were given."""

    file: Path | None
    device: str | None
    to: tuple[str, ...]
    drain: str | None
    percent: float | None
    allocate: Path | None
    returns_to: str


def request_of(outputs: Outputs, given: Options) -> tuple[Request, str]:
    """What is asked for, and the same in words; `RefusedError` when that is not one thing."""
    if sum(each is not None for each in (given.file, given.device, given.drain, given.allocate)) != 1:
        raise RefusedError(f"exactly one thing can be planned at a time; {_ONE_OF}")
    _check_belongings(given)
    if given.file is not None:
        return Rows(given.file), given.file.name
    if given.allocate is not None:
        return Allocate(read_policy(given.allocate, outputs.clusters)), f"--allocate {given.allocate.name}"
    if given.drain is not None and given.percent is not None:
        return _drain(outputs, given.drain, given.percent, given.to)
    if len(given.to) != 1:
        raise RefusedError("--device: say where it goes, with one --to")
    return Single(str(given.device), given.to[0], given.returns_to), f"--device {given.device} --to {given.to[0]}"


def _check_belongings(given: Options) -> None:
    if (given.percent is not None) != (given.drain is not None):
        raise RefusedError("--drain and --percent belong together; give both or none")
    if given.returns_to and given.device is None:
        raise RefusedError("--returns-to belongs to --device; in a file it is a column")
    if given.to and given.device is None and given.drain is None:
        raise RefusedError("--to belongs to --device or --drain; in a file it is the column target")


def _drain(outputs: Outputs, cluster: str, percent: float, to: tuple[str, ...]) -> tuple[Request, str]:
    known = ", ".join(sorted(outputs.clusters))
    for name in (cluster, *to):
        if name not in outputs.clusters:
            raise RefusedError(f"there is no cluster {name!r}; name one of {known}")
    if not 0 < percent <= 100:
        raise RefusedError(f"--percent {percent:g}: give a number above 0 and up to 100")
    receivers = tuple(dict.fromkeys(to)) or tuple(name for name in sorted(outputs.clusters) if name != cluster)
    if cluster in receivers or not receivers:
        raise RefusedError(f"--drain {cluster}: its devices must go elsewhere; give other clusters as --to")
    words = " ".join([f"--drain {cluster} --percent {percent:g}", *(f"--to {name}" for name in to)])
    return Drain(cluster, percent, receivers), words


def expiry_of(text: str | None, at: datetime) -> datetime | None:
    """The option --expires, in UTC to the second; `RefusedError`."""
    if text is None:
        return None
    way_out = "write it such as 2026-12-31T18:00:00Z"
    try:
        expires = datetime.fromisoformat(text)
    except ValueError as error:
        raise RefusedError(f"--expires: {text!r} is no time; {way_out}") from error
    if expires.tzinfo is None:
        raise RefusedError(f"--expires: {text!r} names no time zone; {way_out}")
    if expires <= at:
        raise RefusedError(f"--expires: {text} is past; give a time to come")
    return expires.astimezone(at.tzinfo).replace(microsecond=0)
