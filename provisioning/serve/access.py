"""Who may ask: whoever can read the token's file, from this machine, with a request of a sane size, a few at a time.

Loopback is open to every user of a machine and, through a browser, to every web page somebody opens there. The token
in a file of mode 0600 keeps other users out, and so does its header with web pages; the check of the Host header
keeps names of strangers that resolve to 127.0.0.1 out (docs/adr/0017).
"""

import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from provisioning.durable import PRIVATE, create_durably
from provisioning.errors import StationError
from provisioning.serve.problem import PROBLEM_TYPE, Problem

TOKEN_FILE = "station.token"  # noqa: S105  # a file name
TOKEN_BYTES = 32
MAX_BODY_BYTES = 128 * 1024
"""A request is read into memory: twice the longest CSR that is read (`provisioning.request.MAX_CSR_BYTES`)."""
MAX_AT_ONCE = 64
"""Requests at a time; a line has a handful of stations, and what comes beyond is told to ask again."""
RETRY_SECONDS = 1
"""After how long: an issuance takes some milliseconds, with a key in KMS some tens."""
HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})
OPEN_PATHS = frozenset({"/health"})
"""Says nothing but that the process lives."""


def station_token(factory: Path) -> str:
    """The token of the station in `factory`, made the first time; `StationError` when others may read it."""
    path = factory / TOKEN_FILE
    create_durably(path, secrets.token_urlsafe(TOKEN_BYTES).encode("ascii"), mode=PRIVATE)
    if path.stat().st_mode & 0o077:
        raise StationError(f"{path}: others may read this token; remove it, start again, and give the new one out")
    token = path.read_text(encoding="ascii").strip()
    if len(token) < TOKEN_BYTES:
        raise StationError(f"{path}: holds no token; remove it and start again")
    return token


class _TooLargeError(Exception):
    """More came than is read."""


@dataclass
class _UnderWay:
    """How many requests are. Only the server's own thread counts."""

    count: int = 0


@dataclass(frozen=True)
class Guard:
    """In front of the application: host, token, size, how many at a time, in that order."""

    application: ASGIApp
    token: str
    refused: Callable[[HTTPStatus], None]
    """Told of each request that is turned away."""
    _under_way: _UnderWay = field(default_factory=_UnderWay)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or turn it away."""
        if scope["type"] != "http":
            await self.application(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if (problem := self._turned_away(scope["path"], headers)) is not None:
            await self._answer(problem, scope, receive, send)
            return
        if scope["path"] in OPEN_PATHS:
            await self.application(scope, receive, send)
            return
        if self._under_way.count >= MAX_AT_ONCE:
            await self._answer(_busy(), scope, receive, send)
            return
        self._under_way.count += 1
        try:
            await self._limited(scope, receive, send)
        finally:
            self._under_way.count -= 1

    async def _limited(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The request to the application, of which no more is read than a request can be."""
        has_begun = False
        read = 0

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > MAX_BODY_BYTES:
                raise _TooLargeError
            return message

        async def watched(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self.application(scope, counted, watched)
        except _TooLargeError:
            if not has_begun:
                await self._answer(_too_large(), scope, receive, send)

    def _turned_away(self, path: str, headers: Headers) -> Problem | None:
        host = headers.get("host", "")
        if host.rpartition(":")[0] not in HOSTS and host not in HOSTS:
            return Problem.plain(HTTPStatus.MISDIRECTED_REQUEST, f"host {host!r}: ask for 127.0.0.1 or localhost")
        if path not in OPEN_PATHS and not self._is_authorized(headers.get("authorization", "")):
            return Problem.plain(
                HTTPStatus.UNAUTHORIZED,
                f"the token is missing or wrong; send the header `Authorization: Bearer` with what is in {TOKEN_FILE}",
            )
        length = headers.get("content-length", "0")
        return _too_large() if not length.isdecimal() or int(length) > MAX_BODY_BYTES else None

    def _is_authorized(self, header: str) -> bool:
        scheme, _, given = header.partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(given.encode(), self.token.encode())

    async def _answer(self, problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
        self.refused(HTTPStatus(problem.status))
        headers = _HEADERS.get(HTTPStatus(problem.status), {})
        body = problem.model_dump_json()
        response = Response(body, problem.status, headers=headers, media_type=PROBLEM_TYPE)
        await response(scope, receive, send)


_HEADERS: Mapping[HTTPStatus, Mapping[str, str]] = {
    HTTPStatus.UNAUTHORIZED: {"WWW-Authenticate": "Bearer"},
    HTTPStatus.SERVICE_UNAVAILABLE: {"Retry-After": str(RETRY_SECONDS)},
}


def _busy() -> Problem:
    return Problem.plain(
        HTTPStatus.SERVICE_UNAVAILABLE,
        f"{MAX_AT_ONCE} requests are under way already; nothing was done: ask again in {RETRY_SECONDS} s, and send "
        f"fewer at a time",
        kind="busy",
    )


def _too_large() -> Problem:
    return Problem.plain(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {MAX_BODY_BYTES} bytes are read; send the CSR alone"
    )
