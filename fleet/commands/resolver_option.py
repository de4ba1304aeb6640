"""Which DNS server a command asks: one that is named, the zone's own, or none."""

from typing import Annotated

import typer

from fleet.errors import RefusedError
from fleet.routing.resolver import Resolver, Server, name_servers
from stacks.outputs import Outputs

AskedResolver = Annotated[
    str | None,
    typer.Option("--resolver", metavar="ADDRESS:PORT", help="The DNS server to ask; default: the zone's own servers."),
]
NoResolver = Annotated[bool, typer.Option("--no-resolver", help="Ask no DNS server.")]


def resolver_of(outputs: Outputs, asked: str | None, *, none: bool) -> Resolver | None:
    """The resolver that the options mean. `RefusedError`; `UnfinishedError` when the zone's own cannot be found."""
    if none and asked:
        raise RefusedError("--resolver and --no-resolver contradict each other; give one of them")
    if none:
        return None
    if asked is None:
        return name_servers(outputs.name_servers)
    try:
        return Resolver((Server.parse(asked),))
    except ValueError as error:
        raise RefusedError(f"--resolver: {error}") from error
