"""Run the API on a socket that listens already, until somebody says stop; then finish what is under way."""

import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import uvicorn

from provisioning.serve.application import station_api
from provisioning.station import Station

STOP_SECONDS = 10
"""How long requests that are under way may take once the server was told to stop; signing takes well under one."""
MAX_CONNECTIONS = 512
"""Half of the files a process may usually have open (RLIMIT_NOFILE, 1,024). Requests are limited in `serve.access`, in
words; more connections than these are the server's to refuse, with a plain 503."""


class _Server(uvicorn.Server):
    """Ends with exit code 0 when it is told to stop; uvicorn would die of the signal after all."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Let both signals ask for a graceful stop."""
        former = {each: signal.signal(each, self.handle_exit) for each in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for each, handler in former.items():
                signal.signal(each, handler)


def run(station: Station, token: str, listener: socket.socket, *, signers: Sequence[str] = ()) -> None:
    """Serve until SIGINT or SIGTERM; `signers` as in `station_api`."""
    config = uvicorn.Config(
        station_api(station, token, signers=signers),
        log_level="warning",
        timeout_graceful_shutdown=STOP_SECONDS,
        limit_concurrency=MAX_CONNECTIONS,
        server_header=False,
    )
    _Server(config).run(sockets=[listener])
