"""AWS's client as a device uses it, against servers of the standard library."""

from collections.abc import Callable
from pathlib import Path
from ssl import TLSVersion

import pytest

from device.link import ConnectionFailedError, Credentials
from tests.device.line import connect
from tests.device.loopback import Authority, tls_server, tunnel_to

NAME = "eu1.clusters.iot.example.com"


@pytest.mark.parametrize(
    ("newest", "expected"),
    [
        (TLSVersion.TLSv1, None),
        (TLSVersion.TLSv1_1, None),
        (TLSVersion.TLSv1_2, "TLSv1.2"),
        (TLSVersion.TLSv1_3, "TLSv1.3"),
    ],
)
def test_a_device_shakes_hands_in_tls_1_2_or_1_3_and_in_nothing_older(
    tmp_path: Path, newest: TLSVersion, expected: str | None
) -> None:
    authority = Authority.make("Ours")
    files = Credentials(*authority.issue(tmp_path, "device1"), authority.write(tmp_path / "anchors.pem"))
    agreed: list[str | None] = []
    with (
        tls_server(tmp_path, authority, name=NAME, newest=newest, clients=files.trust_anchors, agreed=agreed) as port,
        tunnel_to(port) as (proxy, _asked),
        pytest.raises(ConnectionFailedError),  # the server says nothing to a CONNECT
    ):
        connect(NAME, 8883, files, client_id="device1", proxy=proxy)
    assert agreed[0] == expected, "what comes after may be told to whoever broke the old version"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda files, _other: files.key.write_text("half"), r"device1\.key\.pem: is no private key"),
        (lambda files, other: other.replace(files.key), r"device1\.key\.pem: is not the key of the certificate"),
        (lambda files, _other: files.chain.unlink(), r"No such file.*device1\.pem"),
    ],
)
def test_files_that_are_spoilt_while_the_device_works_are_a_failure_to_connect_and_not_its_end(
    tmp_path: Path, spoil: Callable[[Credentials, Path], object], said: str
) -> None:
    """A rotation that was cut off is mended by the next one, if the device still lives."""
    authority = Authority.make("Ours")
    files = Credentials(*authority.issue(tmp_path, "device1"), authority.write(tmp_path / "anchors.pem"))
    spoil(files, authority.issue(tmp_path, "device2")[1])
    with pytest.raises(ConnectionFailedError, match=said):
        connect(NAME, 8883, files, client_id="device1")
