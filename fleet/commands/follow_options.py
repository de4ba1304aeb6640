"""Options of commands that follow devices. The waits beside `--arrive-within` are for tests, and are not shown."""

import re
from datetime import timedelta
from typing import Annotated

import typer

from fleet.errors import RefusedError
from fleet.routing.following import LOOK_EVERY
from fleet.routing.moving import Waits

_FIELD = Waits()
DEFAULT_ARRIVE_WITHIN = f"{_FIELD.arrive_within.total_seconds() / 60:.0f}m"
DEFAULT_SETTLE = _FIELD.settle.total_seconds()
DEFAULT_STABLE = _FIELD.stable.total_seconds()
DEFAULT_PRESENCE_LAG = _FIELD.presence_lag.total_seconds()
DEFAULT_LOOK_EVERY = LOOK_EVERY.total_seconds()

ArriveWithin = Annotated[str, typer.Option(help="Move a device back that has not arrived by then: 90s, 25m, 24h.")]
Follow = Annotated[
    bool,
    typer.Option(
        "--follow/--no-follow",
        help="See every device arrive, or move it back; else devices come when they look where their name leads.",
    ),
]
Settle = Annotated[float, typer.Option(min=0, hidden=True)]
Stable = Annotated[float, typer.Option(min=0, hidden=True)]
PresenceLag = Annotated[float, typer.Option(min=0, hidden=True)]
LookEvery = Annotated[float, typer.Option(min=0.1, hidden=True)]

_SPAN = re.compile(r"([1-9][0-9]{0,4})([smh])")
_UNITS = {"s": timedelta(seconds=1), "m": timedelta(minutes=1), "h": timedelta(hours=1)}


def seconds(number: float) -> timedelta:
    """An option's seconds."""
    return timedelta(seconds=number)


def waits_of(arrive_within: str, *, settle: float, stable: float, presence_lag: float) -> Waits:
    """The waits that the options ask for; `RefusedError` for what is no span of time."""
    found = _SPAN.fullmatch(arrive_within)
    if found is None:
        raise RefusedError(
            f"--arrive-within: {arrive_within!r} is no span of time; give seconds, minutes or hours, such as 90s or 25m"
        )
    return Waits(
        arrive_within=int(found[1]) * _UNITS[found[2]],
        settle=seconds(settle),
        stable=seconds(stable),
        presence_lag=seconds(presence_lag),
    )
