"""Real parts on loopback for a device to meet: an authority, a resolver, a CONNECT proxy."""

import socket
import ssl
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from device.resolution import HostPort

NOW = datetime.now(UTC)


def name_of(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


@dataclass
class Authority:
    """A throwaway CA."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def make(cls, common_name: str) -> "Authority":
        key = ec.generate_private_key(ec.SECP256R1())
        unsigned = _builder(common_name, key, name_of(common_name), NOW + timedelta(days=2))
        unsigned = unsigned.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        return cls(key, unsigned.sign(key, hashes.SHA256()))

    def write(self, path: Path) -> Path:
        path.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        return path

    def issue(
        self, folder: Path, common_name: str, *, not_after: datetime = NOW + timedelta(days=1)
    ) -> tuple[Path, Path]:
        """Certificate and key files of a server or a device of that name."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            _builder(common_name, key, self.certificate.subject, not_after)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(common_name)]), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        folder.mkdir(parents=True, exist_ok=True)
        pem, private = folder / f"{common_name}.pem", folder / f"{common_name}.key.pem"
        pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        private.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return pem, private


def _builder(
    common_name: str, key: ec.EllipticCurvePrivateKey, issuer: x509.Name, not_after: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(name_of(common_name))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=2))
        .not_valid_after(not_after)
    )


def rrset_of(record: str) -> dns.rrset.RRset:
    name, ttl, _class, kind, target = record.split()
    return dns.rrset.from_text(name, int(ttl), "IN", kind, target)


@contextmanager
def dns_server(*records: str, rcode: dns.rcode.Rcode = dns.rcode.NOERROR) -> Iterator[HostPort]:
    """Answers every question with these records, over UDP."""
    with dns_server_of(records, rcode=rcode) as address:
        yield address


@contextmanager
def dns_server_of(records: Sequence[str], *, rcode: dns.rcode.Rcode = dns.rcode.NOERROR) -> Iterator[HostPort]:
    """The same, with records that may change while it serves."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listening.bind(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            wire, client = listening.recvfrom(4096)
            if wire == b"stop":
                return
            answer = dns.message.make_response(dns.message.from_wire(wire))
            answer.flags |= dns.flags.RA
            answer.set_rcode(rcode)
            answer.answer = [rrset_of(record) for record in records]
            listening.sendto(answer.to_wire(), client)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield HostPort("127.0.0.1", listening.getsockname()[1])
    finally:
        listening.sendto(b"stop", listening.getsockname())
        thread.join()
        listening.close()


@contextmanager
def tls_server(
    folder: Path,
    authority: Authority,
    *,
    name: str,
    not_after: datetime = NOW + timedelta(days=1),
    newest: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED,
    clients: Path | None = None,
    agreed: list[str | None] | None = None,
) -> Iterator[int]:
    """Takes one connection, shakes hands, and reads a byte; `agreed` hears the version of TLS, nothing when refused."""
    agreed = [] if agreed is None else agreed
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue(folder, name, not_after=not_after))
    if clients:  # AWS's client hangs up on a server that does not ask for its certificate
        context.load_verify_locations(clients)
        context.verify_mode = ssl.CERT_REQUIRED
    context.set_ciphers("ALL:@SECLEVEL=0")  # as a server of its time has it: the old versions sign with SHA-1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the old versions are what some tests are about
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, newest

    def serve() -> None:
        connection, _peer = listening.accept()
        with connection:
            try:
                with context.wrap_socket(connection, server_side=True) as secure:
                    agreed.append(secure.version())
                    secure.recv(1)
            except OSError:
                agreed.append(None)  # the client refused us; that is what the test is about

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listening.getsockname()[1]
        thread.join()


@contextmanager
def tunnel_to(port: int, *, status: str = "200 OK") -> Iterator[tuple[HostPort, list[str]]]:
    """A CONNECT proxy that sends every name to `port` on loopback; also what it was asked for."""
    asked: list[str] = []
    threads: list[threading.Thread] = []
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):  # closed: the test is over
            while True:
                client, _peer = listening.accept()
                threads.append(threading.Thread(target=_tunnel, args=(client, port, status, asked)))
                threads[-1].start()

    accepting = threading.Thread(target=serve)
    accepting.start()
    try:
        yield HostPort("127.0.0.1", listening.getsockname()[1]), asked
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        accepting.join()
        for thread in threads:
            thread.join()


def _tunnel(client: socket.socket, port: int, status: str, asked: list[str]) -> None:
    with client, socket.create_connection(("127.0.0.1", port)) as server:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += client.recv(4096)
        asked.append(head.split(b"\r\n")[0].decode())
        client.sendall(f"HTTP/1.1 {status}\r\n\r\n".encode())
        if status.startswith("200"):
            back = threading.Thread(target=_pump, args=(server, client))
            back.start()
            _pump(client, server)
            back.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):  # the other side is gone
        while data := source.recv(4096):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
