import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from device.preflight import PreflightError, check_tls
from device.resolution import HostPort

NAME = "eu1.clusters.iot.example.com"
NOW = datetime.now(UTC)


@dataclass
class Authority:
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    def write(self, path: Path) -> Path:
        path.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        return path


def builder(common_name: str, key: ec.EllipticCurvePrivateKey, issuer: x509.Name) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=2))
    )


def make_authority(common_name: str) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    unsigned = builder(common_name, key, name).not_valid_after(NOW + timedelta(days=2))
    unsigned = unsigned.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return Authority(key, unsigned.sign(key, hashes.SHA256()))


@contextmanager
def tls_server(folder: Path, authority: Authority, *, name: str, not_after: datetime) -> Iterator[int]:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        builder(name, key, authority.certificate.subject)
        .not_valid_after(not_after)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(authority.key, hashes.SHA256())
    )
    pem = folder / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    with socket.create_server(("127.0.0.1", 0)) as listening, _in_background(listening, context):
        yield listening.getsockname()[1]


@contextmanager
def _in_background(listening: socket.socket, context: ssl.SSLContext) -> Iterator[None]:
    def serve() -> None:
        connection, _peer = listening.accept()
        with connection:
            try:
                with context.wrap_socket(connection, server_side=True) as secure:
                    secure.recv(1)
            except OSError:
                return  # the client refused us; that is what the test is about

    thread = threading.Thread(target=serve)
    thread.start()
    yield
    thread.join()


@contextmanager
def tunnel_to(port: int, *, status: str = "200 OK") -> Iterator[tuple[HostPort, list[str]]]:
    """A CONNECT proxy that sends every name to `port` on loopback; also what it was asked for."""
    asked: list[str] = []

    def pump(source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(4096):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            return  # the other side is gone

    def serve() -> None:
        client, _peer = listening.accept()
        with client, socket.create_connection(("127.0.0.1", port)) as server:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += client.recv(4096)
            asked.append(head.split(b"\r\n")[0].decode())
            client.sendall(f"HTTP/1.1 {status}\r\n\r\n".encode())
            if status.startswith("200"):
                back = threading.Thread(target=pump, args=(server, client))
                back.start()
                pump(client, server)
                back.join()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        yield HostPort("127.0.0.1", listening.getsockname()[1]), asked
        thread.join()


def test_a_server_under_the_clusters_name_is_trusted_through_the_proxy(tmp_path: Path) -> None:
    authority = make_authority("Ours")
    anchors = authority.write(tmp_path / "anchors.pem")
    with (
        tls_server(tmp_path, authority, name=NAME, not_after=NOW + timedelta(days=1)) as port,
        tunnel_to(port) as (proxy, asked),
    ):
        handshake = check_tls(NAME, 8883, trust_anchors=anchors, proxy=proxy)
    assert handshake.tls_version == "TLSv1.3"
    assert asked == [f"CONNECT {NAME}:8883 HTTP/1.1"]


@pytest.mark.parametrize(
    ("served", "days", "trusted", "reason"),
    [
        ("us1.clusters.iot.example.com", 1, True, "Hostname mismatch"),
        (NAME, -1, True, "certificate has expired"),
        (NAME, 1, False, "unable to get local issuer certificate"),
    ],
)
def test_a_server_that_must_not_be_trusted_is_told_by_its_exact_fault(
    tmp_path: Path, served: str, days: int, trusted: bool, reason: str
) -> None:
    authority = make_authority("Ours")
    anchors = (authority if trusted else make_authority("Another")).write(tmp_path / "anchors.pem")
    with (
        tls_server(tmp_path, authority, name=served, not_after=NOW + timedelta(days=days)) as port,
        tunnel_to(port) as (proxy, _asked),
        pytest.raises(PreflightError, match=reason),
    ):
        check_tls(NAME, 8883, trust_anchors=anchors, proxy=proxy)


def test_a_proxy_that_refuses_is_named_with_its_answer(tmp_path: Path) -> None:
    anchors = make_authority("Ours").write(tmp_path / "anchors.pem")
    with (
        socket.create_server(("127.0.0.1", 0)) as behind,
        tunnel_to(behind.getsockname()[1], status="502 no such cluster") as (proxy, _asked),
        pytest.raises(PreflightError, match=r"through proxy 127\.0\.0\.1:.*502 no such cluster"),
    ):
        check_tls(NAME, 8883, trust_anchors=anchors, proxy=proxy)


def test_a_server_that_is_not_there_is_said_to_be_out_of_reach(tmp_path: Path) -> None:
    anchors = make_authority("Ours").write(tmp_path / "anchors.pem")
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with pytest.raises(PreflightError, match=f"localhost:{port}: cannot be reached: Connection refused"):
        check_tls("localhost", port, trust_anchors=anchors)
