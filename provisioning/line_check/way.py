"""The way from a device's name to a trusted server, as the device goes it: look-up, then TLS by the standard library.

The MQTT library needs 10 to 30 s and one opaque error for a wrong name, a wrong authority or an expired server
certificate; the standard library says which, at once.
"""

import socket
import ssl
from dataclasses import dataclass
from typing import Self

import dns.exception
import dns.rdatatype
import dns.resolver

from protocol.hostnames import server_name
from provisioning.errors import RefusedError
from provisioning.line_check.outcome import LineCheckError, Question
from provisioning.line_check.papers import Papers

LOOK_UP_SECONDS = 5.0
"""For one look-up with its retries (resolv.conf(5): a stub resolver's default for one try)."""
TLS_SECONDS = 10.0
"""For connecting and for each read: a station's own network, not a radio."""
MAX_PROXY_ANSWER_BYTES = 8192


@dataclass(frozen=True)
class Address:
    """A resolver or a proxy."""

    host: str
    port: int

    @classmethod
    def parse(cls, option: str, text: str | None) -> Self | None:
        """`HOST:PORT`; `RefusedError` names the option."""
        if text is None:
            return None
        host, _, port = text.rpartition(":")
        if not (host and port.isdecimal() and 0 < int(port) < 65536):
            raise RefusedError(f"{option}: {text!r} is not HOST:PORT; give such as 127.0.0.1:5353")
        return cls(host, int(port))


def find_server(papers: Papers, resolver: Address | None) -> str:
    """The server name that the device's own name leads to today (design decision 3)."""
    name = papers.bundle.hostname
    stub = dns.resolver.Resolver(configure=resolver is None)
    stub.lifetime = LOOK_UP_SECONDS
    if resolver is not None:
        stub.nameservers, stub.port = [resolver.host], resolver.port
    try:
        answer = stub.resolve(name, dns.rdatatype.A, raise_on_no_answer=False, search=False)
    except dns.resolver.NXDOMAIN as error:
        why = f"there is no name {name}; deploy the stack, or look at the domain in the bundle"
        raise LineCheckError(Question.NAME, why, acts="operator") from error
    except dns.exception.DNSException as error:
        why = f"{name} could not be looked up ({error}); is this station online?"
        raise LineCheckError(Question.NAME, why, acts="station", is_offline=True) from error
    chain = [rrset[0].target.to_text(omit_final_dot=True) for rrset in answer.response.answer if rrset.rdtype == 5]
    if not chain and answer.rrset is None:
        why = f"{name} has neither a CNAME nor an address; another record may hide the wildcard: fleet route show"
        raise LineCheckError(Question.NAME, why, acts="operator")
    return server_name([name, *chain], papers.device, papers.bundle.domain)


def check_server(server: str, papers: Papers, proxy: Address | None) -> str:
    """Shake hands with the device's own certificate, and hang up."""
    context = ssl.create_default_context(cafile=str(papers.trust_anchors_file))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(papers.chain_file, papers.key_file)
    port = papers.bundle.port
    try:
        with _open(server, port, proxy) as plain, context.wrap_socket(plain, server_hostname=server) as secure:
            return f"{server}, {secure.version()}"
    except ssl.SSLCertVerificationError as error:
        why = f"{server}: its certificate is refused: {error.verify_message}; look at the bundle's trust anchors"
        raise LineCheckError(Question.SERVER, why, acts="operator") from error
    except ssl.SSLError as error:
        why = f"{server}: TLS failed: {error.reason or error}"
        raise LineCheckError(Question.SERVER, why, acts="operator") from error
    except OSError as error:
        through = f" through {proxy.host}:{proxy.port}" if proxy else ""
        why = f"{server}:{port} cannot be reached{through} ({error.strerror or error}); is this station online?"
        raise LineCheckError(Question.SERVER, why, acts="station", is_offline=True) from error


def _open(server: str, port: int, proxy: Address | None) -> socket.socket:
    if proxy is None:
        return socket.create_connection((server, port), timeout=TLS_SECONDS)
    plain = socket.create_connection((proxy.host, proxy.port), timeout=TLS_SECONDS)
    try:
        plain.sendall(f"CONNECT {server}:{port} HTTP/1.1\r\nHost: {server}:{port}\r\n\r\n".encode("ascii"))
        status = _head(plain).partition(b"\r\n")[0].decode("latin-1")
    except BaseException:
        plain.close()
        raise
    if status.split(" ")[1:2] != ["200"]:
        plain.close()
        raise ConnectionRefusedError(0, f"the proxy answered {status!r}")
    return plain


def _head(plain: socket.socket) -> bytes:
    """Byte by byte: what follows belongs to TLS."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = plain.recv(1)
        if not byte or len(head) > MAX_PROXY_ANSWER_BYTES:
            raise ConnectionAbortedError(0, "the proxy gave no whole answer")
        head += byte
    return head
