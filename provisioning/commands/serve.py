"""`python -m provisioning serve`: the station's API on loopback, until it is told to stop."""

import socket
from typing import Annotated

import typer

from provisioning.commands.asking import typed
from provisioning.commands.options import (
    Authorities,
    Factory,
    OutputsFile,
    Profiles,
    Stack,
    TrustAnchors,
    now,
    outputs_of,
)
from provisioning.commands.telling import errors_told
from provisioning.durable import make_folder
from provisioning.errors import StationError
from provisioning.order import check_signer
from provisioning.serve.access import TOKEN_FILE, station_token
from provisioning.station import Station

LOOPBACK = "127.0.0.1"
DEFAULT_PORT = 8807
"""Unassigned at IANA, and easy to tell from the ports of web servers."""


def serve(
    *,
    stack: Stack,
    factory: Factory,
    port: Annotated[int, typer.Option(min=0, max=65535, help="On 127.0.0.1; 0 takes any free one.")] = DEFAULT_PORT,
    authority: Annotated[
        list[str] | None,
        typer.Option(help="Who signs here, once each. Default: everyone whose certificate is here."),
    ] = None,
    authorities: Authorities = None,
    trust_anchors: TrustAnchors = None,
    profiles: Profiles = None,
    outputs: OutputsFile = None,
) -> None:
    """Answer the line's own software: POST /v1/identities (see /openapi.json). Ctrl-C or SIGTERM ends it."""
    # A line starts `issue` every few seconds, and those starts need not wait for a web server to load.
    from provisioning.serve.readiness import checks  # noqa: PLC0415  # see above
    from provisioning.serve.run import run  # noqa: PLC0415  # see above

    with errors_told():
        prompts = _Prompts()
        station = Station.open(
            stack=stack,
            factory=factory,
            authorities=authorities,
            trust_anchors=trust_anchors,
            profiles=profiles,
            outputs=None if outputs is None else outputs_of(stack, outputs),
            outputs_path=outputs,
            clock=now,
            ask=prompts.ask,
        )
        signers = tuple(authority or ())
        for name in signers:
            check_signer(station.plan, name)
        make_folder(factory, mode=0o700)
        token = station_token(factory)
        for check in checks(station, signers):
            typer.echo(f"{'ready' if check.is_ok else 'NOT READY'}: {check.name}: {check.detail}", err=True)
        prompts.end()
        with _listening(port) as listener:
            typer.echo(f"http://{LOOPBACK}:{listener.getsockname()[1]}  token: {factory / TOKEN_FILE}")
            run(station, token, listener, signers=signers)


class _Prompts:
    """Asks a person for the HSM's PIN while somebody sits there: before the first request, and never after."""

    def __init__(self) -> None:
        self._is_over = False

    def ask(self, prompt: str) -> str:
        if self._is_over:
            raise StationError(f"{prompt}: nobody is there to type it; stop this server and start it again")
        return typed(prompt)

    def end(self) -> None:
        self._is_over = True


def _listening(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((LOOPBACK, port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise StationError(
            f"{LOOPBACK}:{port}: cannot be listened on ({error.strerror}); give another --port"
        ) from error
    return listener
