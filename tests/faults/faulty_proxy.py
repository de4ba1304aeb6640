"""Between the factory and the embedded cloud: hands every request on, and spoils the answers it is told to spoil."""

import http.client
import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from urllib.parse import urlsplit

import botocore.session

_HOP = {"connection", "transfer-encoding", "content-length", "keep-alive"}
_PATIENCE_SECONDS = 60
_SCOPE = re.compile(r"Credential=[^/]+/\d+/([^/]+)/([^/]+)/aws4_request")
_MODELS = {"iot": "iot", "execute-api": "iot", "iotdata": "iot-data"}
"""Signing name of a REST service to botocore's name of its model."""
SLOW_SECONDS = 0.9
"""Longer than the patience that the tests give the factory."""


class Spoil(StrEnum):
    """What becomes of an answer."""

    THROTTLED = "throttled"
    """The cloud turns the call away for its rate, and does nothing."""
    LOST = "lost"
    """The cloud does it, and the connection ends without an answer."""
    CUT = "cut"
    """The cloud does it, and half of the answer arrives."""
    SLOW = "slow"
    """The cloud does it, and the answer comes when nobody waits for it any more."""
    GARBLED = "garbled"
    """The cloud does it, and the answer's body is no document."""


@dataclass
class FaultyProxy:
    """`address` is the endpoint for the factory."""

    upstream: str
    address: str = ""
    call: str = ""
    """The call to spoil, such as `CreateThing`."""
    region: str = ""
    """Whose answers; the other cluster's come through."""
    spoil: Spoil = Spoil.LOST
    attempts: int = 0
    """How many of its answers are spoilt, from the first on."""
    spoilt: int = 0
    seen: list[str] = field(default_factory=list)
    """Every call since the last `arm`."""
    _lock: Lock = field(default_factory=Lock)

    def arm(self, call: str, region: str, spoil: Spoil, attempts: int) -> None:
        """Spoil so many answers from here on."""
        self.call, self.region, self.spoil, self.attempts, self.spoilt, self.seen = call, region, spoil, attempts, 0, []

    def rest(self) -> None:
        """Spoil nothing more."""
        self.attempts, self.seen = 0, []

    def verdict(self, call: str, region: str) -> Spoil | None:
        """What is to become of this one."""
        with self._lock:
            self.seen.append(call)
            if (call, region) != (self.call, self.region) or self.spoilt >= self.attempts:
                return None
            self.spoilt += 1
            return self.spoil


@contextmanager
def faulty_proxy(upstream: str) -> Iterator[FaultyProxy]:
    proxy = FaultyProxy(upstream)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(proxy))
    server.daemon_threads = True
    proxy.address = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(proxy: FaultyProxy) -> type[BaseHTTPRequestHandler]:  # noqa: C901  # a class with five small methods
    place = urlsplit(proxy.upstream)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            region, service = _scope(self.headers.get("Authorization", ""))
            target = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
            spoil = proxy.verdict(target or _rest_call(_MODELS[service], self.command, self.path), region)
            if spoil is Spoil.THROTTLED:
                self._answer(400 if target else 429, {"x-amzn-errortype": "ThrottlingException"}, _throttled())
                return
            status, headers, data = self._asked(body)
            if spoil in (Spoil.LOST, Spoil.SLOW):
                time.sleep(SLOW_SECONDS * (spoil is Spoil.SLOW))
                self._hang_up()
                return
            if spoil is Spoil.GARBLED:
                headers.pop("x-amz-crc32", None)
                data = b"<html>" + data[::-1]
            with suppress(ConnectionError):
                self._answer(status, headers, data, cut_at=len(data) // 2 if spoil is Spoil.CUT else None)

        do_GET = do_PUT = do_DELETE = do_POST  # noqa: N815  # the library asks for these names

        def _asked(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
            cloud = http.client.HTTPConnection(str(place.hostname), place.port, timeout=_PATIENCE_SECONDS)
            cloud.request(self.command, self.path, body, dict(self.headers))
            answer = cloud.getresponse()
            data = answer.read()
            cloud.close()
            return answer.status, _lowered(answer.getheaders()), data

        def _answer(self, status: int, headers: dict[str, str], data: bytes, cut_at: int | None = None) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data) if cut_at is None else len(data) + 1))
            self.end_headers()
            self.wfile.write(data[:cut_at])
            if cut_at is not None:
                self._hang_up()

        def _hang_up(self) -> None:
            self.close_connection = True
            with suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    return Handler


def _lowered(headers: list[tuple[str, str]]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers if name.lower() not in _HOP}


def _throttled() -> bytes:
    return json.dumps({"__type": "ThrottlingException", "message": "Rate exceeded"}).encode()


def _scope(authorization: str) -> tuple[str, str]:
    found = _SCOPE.search(authorization)
    assert found, "every request is signed"
    return found[1], found[2]


def _rest_call(service: str, method: str, path: str) -> str:
    """AWS's name of the call behind a method and a path."""
    bare = path.partition("?")[0]
    matches = [name for name, verb, pattern in _patterns(service) if verb == method and pattern.fullmatch(bare)]
    assert matches, f"{method} {path} is no call of {service}"
    return matches[0]


@cache
def _patterns(service: str) -> tuple[tuple[str, str, re.Pattern[str]], ...]:
    """Calls with fixed paths first: `/certificates/x` is asked after `/certificates-by-ca`."""
    model = botocore.session.Session().get_service_model(service)
    calls = []
    for name in model.operation_names:
        where = model.operation_model(name).http
        path = where["requestUri"].partition("?")[0]
        pattern = "".join(
            "[^/]+" if part.startswith("{") else re.escape(part) for part in re.split(r"(\{[^}]*\})", path)
        )
        calls.append((path.count("{"), name, where["method"], re.compile(pattern)))
    return tuple((name, method, pattern) for _, name, method, pattern in sorted(calls, key=lambda each: each[:3]))
