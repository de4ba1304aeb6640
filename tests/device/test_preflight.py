import socket
from datetime import timedelta
from pathlib import Path

import pytest

from device.preflight import PreflightError, check_tls
from tests.device.loopback import NOW, Authority, tls_server, tunnel_to

NAME = "eu1.clusters.iot.example.com"


def test_a_server_under_the_clusters_name_is_trusted_through_the_proxy(tmp_path: Path) -> None:
    authority = Authority.make("Ours")
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
    authority = Authority.make("Ours")
    anchors = (authority if trusted else Authority.make("Another")).write(tmp_path / "anchors.pem")
    with (
        tls_server(tmp_path, authority, name=served, not_after=NOW + timedelta(days=days)) as port,
        tunnel_to(port) as (proxy, _asked),
        pytest.raises(PreflightError, match=reason),
    ):
        check_tls(NAME, 8883, trust_anchors=anchors, proxy=proxy)


def test_a_proxy_that_refuses_is_named_with_its_answer(tmp_path: Path) -> None:
    anchors = Authority.make("Ours").write(tmp_path / "anchors.pem")
    with (
        socket.create_server(("127.0.0.1", 0)) as behind,
        tunnel_to(behind.getsockname()[1], status="502 no such cluster") as (proxy, _asked),
        pytest.raises(PreflightError, match=r"through proxy 127\.0\.0\.1:.*502 no such cluster"),
    ):
        check_tls(NAME, 8883, trust_anchors=anchors, proxy=proxy)


def test_a_server_that_is_not_there_is_said_to_be_out_of_reach(tmp_path: Path) -> None:
    anchors = Authority.make("Ours").write(tmp_path / "anchors.pem")
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with pytest.raises(PreflightError, match=f"localhost:{port}: cannot be reached: Connection refused"):
        check_tls("localhost", port, trust_anchors=anchors)


def test_trust_anchors_that_are_none_are_named(tmp_path: Path) -> None:
    (tmp_path / "anchors.pem").write_text("")
    with pytest.raises(PreflightError, match=r"anchors\.pem: cannot be used as trust anchors"):
        check_tls(NAME, 8883, trust_anchors=tmp_path / "anchors.pem")
