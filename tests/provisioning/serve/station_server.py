"""A station's API as it really runs: a process of its own, asked over HTTP."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from tests.provisioning.factory import ROOT, Factory


@dataclass(frozen=True)
class Answered:
    """What an API said."""

    status: int
    kind: str
    text: str
    retry_after: str | None

    @property
    def json(self) -> Any:
        return json.loads(self.text)


@dataclass(frozen=True)
class StationClient:
    """Asks a station on this machine."""

    port: int
    token: str

    def ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | bytes | None = None,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> Answered:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        sent = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        authorization = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        try:
            connection.request(
                method, path, sent, {"Content-Type": "application/json", **authorization, **(headers or {})}
            )
            answer = connection.getresponse()
            text = answer.read().decode()
            return Answered(answer.status, answer.headers.get_content_type(), text, answer.headers["Retry-After"])
        finally:
            connection.close()

    def issue(self, device: str, csr: bytes, *, model: str = "fl50", authority: str = "line-a") -> Answered:
        wanted = {"device": device, "model": model, "authority": authority, "csr": csr.decode()}
        return self.ask("POST", "/v1/identities", wanted)

    def as_stranger(self, token: str = "") -> "StationClient":
        return StationClient(self.port, token)


@dataclass(frozen=True)
class StationServer(StationClient):
    """A running server."""

    process: "subprocess.Popen[str]"

    def stop(self) -> int:
        """Tell it to stop; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)


def serving(factory: Factory) -> list[str | Path]:
    """The arguments of `serve`, on a port of its own choice."""
    return [
        *("serve", "--stack", "dev", "--port", "0"),
        *("--factory", factory.folder, "--authorities", factory.authorities),
    ]


@contextmanager
def station_server(
    factory: Factory, *more: str | Path, variables: Mapping[str, str] | None = None
) -> Iterator[StationServer]:
    """`python -m provisioning serve` on a port of its own choice."""
    command = [sys.executable, "-m", "provisioning", *map(str, (*serving(factory), *more))]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=variables) as process:
        assert process.stdout is not None
        try:
            port = int(process.stdout.readline().split()[0].rpartition(":")[2])
            yield StationServer(port, (factory.folder / "station.token").read_text(), process)
        finally:
            if process.poll() is None:
                process.kill()
