"""A station's API in the test's own process, where the clock and the disk are the test's."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from starlette.types import ASGIApp, Message

from tests.provisioning.serve.station_server import Answered

TOKEN = "anything"  # noqa: S105  # of no other station


def answer_of(api: ASGIApp, method: str, path: str, body: Mapping[str, Any] | None = None) -> Answered:
    """What the API says to one request."""
    return asyncio.run(_asked(api, method, path, b"" if body is None else json.dumps(body).encode()))


async def _asked(api: ASGIApp, method: str, path: str, body: bytes) -> Answered:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body}

    async def send(message: Message) -> None:
        sent.append(message)

    headers = {
        b"host": b"127.0.0.1",
        b"authorization": f"Bearer {TOKEN}".encode(),
        b"content-type": b"application/json",
    }
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "http",
        "root_path": "",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": list(headers.items()),
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    await api(scope, receive, send)
    told = dict(sent[0]["headers"])
    text = b"".join(each.get("body", b"") for each in sent[1:]).decode()
    kind = told[b"content-type"].decode().partition(";")[0]
    return Answered(sent[0]["status"], kind, text, told.get(b"retry-after", b"").decode() or None)
