"""The head of an HTTP/1.1 request, as the front door and the proxy read it."""

import asyncio
from dataclasses import dataclass

HEAD_LIMIT_BYTES = 65536
"""A presigned URL with a session token is about 4 kB; nobody needs more than this."""
HEAD_PATIENCE_S = 60.0
"""How long a connection may stand open before it has asked for something."""


class HeadError(Exception):
    """The request cannot be understood; `status` is the answer's code, the text its reason."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True)
class Head:
    """A request's head."""

    method: str
    target: str
    version: str
    headers: tuple[tuple[str, str], ...]
    """In order, as written."""

    def header(self, name: str) -> str | None:
        """The first header of a name, whatever its case."""
        return next((value for key, value in self.headers if key.lower() == name), None)

    def to_bytes(self) -> bytes:
        """The head as it goes over the wire."""
        lines = [f"{self.method} {self.target} {self.version}", *(f"{key}: {value}" for key, value in self.headers)]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


async def read_head(reader: asyncio.StreamReader, *, patience_s: float = HEAD_PATIENCE_S) -> Head | None:
    """The next request's head; nothing if the peer left first. `HeadError` for what cannot be answered otherwise."""
    try:
        async with asyncio.timeout(patience_s):
            raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    except asyncio.LimitOverrunError:
        raise HeadError(431, f"a request's head may have {HEAD_LIMIT_BYTES} bytes") from None
    except TimeoutError:
        raise HeadError(408, f"no request within {patience_s:.0f} s") from None
    return parse_head(raw)


def parse_head(raw: bytes) -> Head:
    """A head from its bytes, the empty line included."""
    request, *lines = raw.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    try:
        method, target, version = request.split(" ")
        headers = tuple((key, value.strip()) for key, _, value in (_split(line) for line in lines))
    except ValueError:
        raise HeadError(400, "this is no HTTP/1.1 request") from None
    if not version.startswith("HTTP/1."):
        raise HeadError(400, f"{version} is not spoken here, only HTTP/1.1")
    return Head(method, target, version, headers)


def _split(line: str) -> tuple[str, str, str]:
    key, colon, value = line.partition(":")
    if not colon or not key or key != key.strip():
        raise ValueError(line)
    return key, colon, value


def answer(status: int, phrase: str, text: str) -> bytes:
    """A whole answer of plain text, after which the connection closes."""
    body = (text + "\n").encode()
    head = (
        f"HTTP/1.1 {status} {phrase}\r\nContent-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode("latin-1") + body
