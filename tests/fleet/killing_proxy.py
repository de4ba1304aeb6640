"""Between a process and the embedded cloud: counts the requests that write, and kills the process at one of them."""

import http.client
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from urllib.parse import urlsplit

_HOP = {"connection", "transfer-encoding", "content-length", "keep-alive"}
PATIENCE_SECONDS = 60


@dataclass
class KillingProxy:
    """What it saw, and what it shall do. `address` is the endpoint for the process."""

    upstream: str
    address: str = ""
    _pid: int | None = None
    strike_at: int = 0
    """The number of the write at which the process dies, from 1; 0 for never."""
    is_after: bool = False
    """Whether the cloud has carried that write out."""
    writes: list[str] = field(default_factory=list)
    has_struck: bool = False
    _lock: Lock = field(default_factory=Lock)
    _is_known: Event = field(default_factory=Event)

    def arm(self, strike_at: int, *, is_after: bool) -> None:
        """Forget the process before; the next dies at that write."""
        self._pid, self.strike_at, self.is_after = None, strike_at, is_after
        self.writes, self.has_struck = [], False
        self._is_known.clear()

    def may_kill(self, pid: int | None) -> None:
        """The process that the test started."""
        self._pid = pid
        self._is_known.set()

    def seen(self, write: str) -> bool:
        """Whether this is the one to die at."""
        with self._lock:
            self.writes.append(write)
            return len(self.writes) == self.strike_at

    def strike(self) -> None:
        assert self._is_known.wait(PATIENCE_SECONDS)
        assert self._pid, "the process that is killed is one that the test started"
        self.has_struck = True
        os.kill(self._pid, signal.SIGKILL)


@contextmanager
def killing_proxy(upstream: str) -> Iterator[KillingProxy]:
    proxy = KillingProxy(upstream)
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


def _handler(proxy: KillingProxy) -> type[BaseHTTPRequestHandler]:
    place = urlsplit(proxy.upstream)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            write = self._write()
            is_last = write is not None and proxy.seen(write)
            if is_last and not proxy.is_after:
                proxy.strike()
                return
            cloud = http.client.HTTPConnection(str(place.hostname), place.port, timeout=PATIENCE_SECONDS)
            for _ in range(1 + ("/change/" in self.path)):  # the embedded cloud says PENDING once, however late it is
                cloud.request(self.command, self.path, body, dict(self.headers))
                answer = cloud.getresponse()
                data = answer.read()
            cloud.close()
            if is_last:
                proxy.strike()
                return
            with suppress(ConnectionError):
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in _HOP:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        do_GET = do_POST  # noqa: N815  # the library asks for these names

        def _write(self) -> str | None:
            target = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
            if target in {"PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems"}:
                return str(target)
            is_change = self.command == "POST" and self.path.rstrip("/").endswith("/rrset")
            return "ChangeResourceRecordSets" if is_change else None

        def log_message(self, *_: object) -> None:
            """Quiet."""

    return Handler
