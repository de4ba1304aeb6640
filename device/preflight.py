"""A TLS handshake with the standard library before the real client: it says at once, and exactly, what is wrong.

The MQTT client needs 10 to 30 s and one opaque error for a wrong name, a wrong authority or an expired certificate.
A refused *client* certificate shows only after the handshake (TLS 1.3), so that is left to CONNECT and its answer.
"""

import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

from device.resolution import HostPort

PREFLIGHT_TIMEOUT_SECONDS = 10.0
"""For connecting and for each read; a handshake over a slow mobile network takes a few seconds."""
MAX_PROXY_ANSWER_BYTES = 8 * 1024
"""A proxy's answer to CONNECT is a status line and a few headers."""


class PreflightError(Exception):
    """The server cannot be trusted or reached; says which name and why."""


@dataclass(frozen=True)
class Handshake:
    """What was agreed."""

    tls_version: str
    cipher: str


def check_tls(server_name: str, port: int, *, trust_anchors: Path, proxy: HostPort | None = None) -> Handshake:
    """Shake hands as `server_name` and hang up; `PreflightError` when it must not be used."""
    try:
        context = ssl.create_default_context(cafile=str(trust_anchors))
    except OSError as error:
        raise PreflightError(f"{trust_anchors}: cannot be used as trust anchors: {error.strerror or error}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        with (
            _open(server_name, port, proxy) as plain,
            context.wrap_socket(plain, server_hostname=server_name) as secure,
        ):
            cipher = secure.cipher()
            return Handshake(secure.version() or "unknown", cipher[0] if cipher else "unknown")
    except ssl.SSLCertVerificationError as error:
        raise PreflightError(f"{server_name}: its certificate is refused: {error.verify_message}") from error
    except ssl.SSLError as error:
        raise PreflightError(f"{server_name}: TLS failed: {error.reason or error}") from error
    except OSError as error:
        through = f" through proxy {proxy.host}:{proxy.port}" if proxy else ""
        raise PreflightError(f"{server_name}:{port}: cannot be reached{through}: {error.strerror or error}") from error


def _open(server_name: str, port: int, proxy: HostPort | None) -> socket.socket:
    if proxy is None:
        return socket.create_connection((server_name, port), timeout=PREFLIGHT_TIMEOUT_SECONDS)
    plain = socket.create_connection((proxy.host, proxy.port), timeout=PREFLIGHT_TIMEOUT_SECONDS)
    try:
        _ask_for_tunnel(plain, f"{server_name}:{port}")
    except BaseException:
        plain.close()
        raise
    return plain


def _ask_for_tunnel(plain: socket.socket, target: str) -> None:
    plain.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode("ascii"))
    status = _read_head(plain).split(b"\r\n", 1)[0].decode("latin-1")
    if status.split(" ")[1:2] != ["200"]:
        raise ConnectionRefusedError(0, f"the proxy answered {status!r}")


def _read_head(plain: socket.socket) -> bytes:
    """The proxy's answer, byte by byte so that nothing of the TLS stream behind it is swallowed."""
    head = bytearray()
    while not head.endswith(b"\r\n\r\n"):
        byte = plain.recv(1)
        if not byte or len(head) > MAX_PROXY_ANSWER_BYTES:
            raise ConnectionAbortedError(0, "the proxy gave no whole answer")
        head += byte
    return bytes(head)
