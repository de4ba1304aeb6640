"""A gateway lets in one device, shows it one name, and is worth nothing once the redirect has ended."""

import shutil
import stat
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from device.preflight import PreflightError, check_tls
from fleet.errors import RefusedError
from fleet.gateway.certificates import GatewayAuthority
from fleet.gateway.lifetime import MAX_REDIRECT, MIN_REDIRECT, parse_lifetime
from fleet.gateway.opening import gateway_certificate
from fleet.gateway.policy import gateway_client_id, gateway_policy
from protocol.device_id import InvalidDeviceIdError, parse_device_id
from protocol.topics import batch_topic, command_filter, command_topic
from provisioning.profile import Validity
from stacks.load import find_ca_certificates, load_environment
from tests.device.loopback import tunnel_to
from tests.fleet.gateway_desk import (
    DEVICE,
    DOMAIN,
    HOST,
    GatewayDesk,
    certificate,
    gateway_authority,
    make_desk,
    running,
)
from tests.provisioning.factory import CEREMONY, Factory

GATEWAY = "gateway: { common_name: Flotilla Dev Gateway CA, key: file, lifetime_years: 20 }\n"
OTHER = parse_device_id("device2")
DEVICE_IDS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True).map(parse_device_id)


@pytest.fixture(scope="module")
def factory(tmp_path_factory: pytest.TempPathFactory) -> Factory:
    """Two devices, made after the authority of gateways."""
    factory = Factory(tmp_path_factory.mktemp("factory"))
    assert factory.ceremony(CEREMONY + GATEWAY).code == 0
    for device in (DEVICE, OTHER):
        assert factory.issue(device).code == 0
    return factory


@pytest.fixture(scope="module")
def desk(factory: Factory, tmp_path_factory: pytest.TempPathFactory) -> GatewayDesk:
    return make_desk(factory, tmp_path_factory.mktemp("desk") / "gateway")


def test_a_gateway_without_its_authoritys_certificate_is_told_where_it_was_looked_for(factory: Factory) -> None:
    environment = load_environment("dev", today=None)
    found = find_ca_certificates(environment, factory.authorities, today=datetime.now(UTC).date())
    issuer = gateway_certificate(environment, found, factory.authorities)
    assert issuer == certificate(factory.authorities / "gateway.pem")
    elsewhere = Path("stacks/authorities/dev")
    with pytest.raises(RefusedError, match=r"stacks/authorities/dev/gateway\.pem: .*as --authorities, on a desk "):
        gateway_certificate(environment, {}, elsewhere)
    line_only = environment.model_copy(update={"authorities": {}})
    with pytest.raises(RefusedError, match="stack dev has no authority gateway; add it to stack and factory file"):
        gateway_certificate(line_only, found, factory.authorities)


def publish(factory: Factory, port: int, device: str, topic: str, *more: str) -> subprocess.CompletedProcess[str]:
    """As the device's own TLS stack would, but for the name, which the tests below look at by themselves."""
    folder = factory.device(device)
    return subprocess.run(
        [
            *("mosquitto_pub", "-V", "5", "-h", "127.0.0.1", "-p", str(port), "-q", "1", "-i", device, "-t", topic),
            *("-m", "1", "--cafile", str(factory.authorities / "gateway.pem"), "--insecure"),
            *("--cert", str(folder / "device.chain.pem"), "--key", str(folder / "device.key.pem"), "-d", *more),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


@pytest.mark.parametrize(
    ("text", "span"),
    [("5m", MIN_REDIRECT), ("90m", timedelta(minutes=90)), ("4h", timedelta(hours=4)), ("7d", MAX_REDIRECT)],
)
def test_a_redirect_lasts_minutes_hours_or_days(text: str, span: timedelta) -> None:
    assert parse_lifetime(text) == span


@pytest.mark.parametrize("text", ["4m", "8d", "10081m", "0h", "4", "4s", "-4h", "4 h", "four hours", "", "\u0661h"])
def test_a_redirect_that_is_too_short_too_long_or_no_span_is_refused(text: str) -> None:
    with pytest.raises(RefusedError, match="--for: "):
        parse_lifetime(text)


@given(device=DEVICE_IDS)
def test_the_policy_names_one_device_and_a_client_that_no_device_can_be(device: Any) -> None:
    statements = gateway_policy(device, region="eu-north-1", account_id="000000000000")["Statement"]
    granted = {statement["Action"][0]: statement["Resource"] for statement in statements}
    prefix = "arn:aws:iot:eu-north-1:000000000000"
    assert granted == {
        "iot:Connect": [f"{prefix}:client/{gateway_client_id(device)}"],
        "iot:Publish": [f"{prefix}:topic/dt/{device}/*"],
        "iot:Subscribe": [f"{prefix}:topicfilter/cmd/{device}/*"],
        "iot:Receive": [f"{prefix}:topic/cmd/{device}/*"],
    }, "nothing else, and the wildcard only behind the device's own level"
    with pytest.raises(InvalidDeviceIdError):
        parse_device_id(gateway_client_id(device))


def test_every_certificate_of_the_folder_begins_an_hour_ago_and_ends_with_the_redirect(desk: GatewayDesk) -> None:
    for name in ("server.pem", "admitted-clients.pem", "bridge.pem"):
        for found in x509.load_pem_x509_certificates((desk.folder / name).read_bytes()):
            life = Validity.of(found)
            assert life.not_after == desk.broker.expires, name
            assert life.not_before <= datetime.now(UTC) - timedelta(hours=1), name


def test_keys_are_their_owners_alone_and_stay_when_the_folder_is_made_again(factory: Factory, tmp_path: Path) -> None:
    folder = tmp_path / "gateway"
    make_desk(factory, folder)
    keys = {name: (folder / name).read_bytes() for name in ("server.key.pem", "bridge.key.pem")}
    assert {stat.S_IMODE((folder / name).stat().st_mode) for name in keys} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    make_desk(factory, folder)
    assert {name: (folder / name).read_bytes() for name in keys} == keys


def test_an_authority_that_is_not_limited_to_gateways_signs_none(factory: Factory) -> None:
    signer = gateway_authority(factory).signer
    with pytest.raises(RefusedError, match="belongs to another key"):
        GatewayAuthority.ready(certificate(factory.authorities / "line-a.pem"), signer, DOMAIN)
    with pytest.raises(RefusedError, match=r"not limited to devices of iot\.example\.org"):
        GatewayAuthority.ready(certificate(factory.authorities / "gateway.pem"), signer, "iot.example.org")


@pytest.mark.judge
def test_the_device_trusts_its_gateway_by_its_own_name_only(factory: Factory, desk: GatewayDesk) -> None:
    anchors = factory.device(DEVICE) / "trust-anchors.pem"
    with running(desk.folder, desk.broker.listen_port), tunnel_to(desk.broker.listen_port) as (proxy, _asked):
        assert check_tls(HOST, 8883, trust_anchors=anchors, proxy=proxy)
        for other in (f"{OTHER}.gw.{DOMAIN}", f"eu1.clusters.{DOMAIN}"):
            with pytest.raises(PreflightError, match="Hostname mismatch"):
                check_tls(other, 8883, trust_anchors=anchors, proxy=proxy)


@pytest.mark.judge
def test_the_device_is_let_in_on_its_own_topics_and_every_other_device_stays_out(
    factory: Factory, desk: GatewayDesk
) -> None:
    port, watch = desk.broker.listen_port, desk.broker.watch_port
    with running(desk.folder, port):
        own = publish(factory, port, DEVICE, batch_topic(DEVICE))
        assert own.returncode == 0, own.stdout + own.stderr
        for topic in (batch_topic(OTHER), command_topic(DEVICE, "go"), f"$aws/things/{DEVICE}/jobs/get"):
            denied = publish(factory, port, DEVICE, topic)
            assert "Not authorized" in denied.stdout + denied.stderr, topic
        other = publish(factory, port, OTHER, batch_topic(OTHER))
        assert other.returncode != 0
        assert "CONNACK" not in other.stdout, "TLS refused it, MQTT never began"
        plain = subprocess.run(
            [
                *("mosquitto_pub", "-V", "5", "-h", "127.0.0.1", "-p", str(watch), "-q", "1"),
                *("-t", batch_topic(DEVICE), "-m", "1", "-d"),
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        assert "Not authorized" in plain.stdout + plain.stderr, "nobody at the desk speaks in the device's name"
    log = (desk.folder.parent / f"{desk.folder.name}.log").read_text(encoding="utf-8")
    assert f"as {DEVICE}" in log, "a person reads who came"


@pytest.mark.judge
def test_a_device_hears_its_own_commands_alone_though_any_subscription_is_granted(
    factory: Factory, desk: GatewayDesk
) -> None:
    port, watch = desk.broker.listen_port, desk.broker.watch_port
    folder = factory.device(DEVICE)
    with running(desk.folder, port):
        command = [
            *("mosquitto_sub", "-V", "5", "-h", "127.0.0.1", "-p", str(port), "-q", "1", "-i", DEVICE, "-t", "#"),
            *("--cafile", str(factory.authorities / "gateway.pem"), "--insecure", "-W", "10", "-C", "1", "-F", "%t"),
            *("--cert", str(folder / "device.chain.pem"), "--key", str(folder / "device.key.pem")),
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as heard:
            for _ in range(20):
                for topic in (command_topic(OTHER, "go"), command_topic(DEVICE, "go")):
                    subprocess.run(
                        ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(watch), "-t", topic, "-m", "1", "-q", "1"],
                        check=False,
                        timeout=30,
                    )
                if heard.poll() is not None:
                    break
            out, _ = heard.communicate(timeout=30)
    assert out.split() == [command_topic(DEVICE, "go")]
    assert command_filter(DEVICE) == f"cmd/{DEVICE}/+"


@pytest.mark.judge
@pytest.mark.parametrize(("before_end", "holds"), [(timedelta(seconds=1), True), (timedelta(seconds=-1), False)])
def test_after_the_redirect_neither_side_of_the_gateway_verifies(
    before_end: timedelta, holds: bool, factory: Factory, desk: GatewayDesk, tmp_path: Path
) -> None:
    at = str(int((desk.broker.expires - before_end).timestamp()))
    chain = x509.load_pem_x509_certificates((factory.device(DEVICE) / "device.chain.pem").read_bytes())
    (tmp_path / "device.pem").write_bytes(chain[0].public_bytes(Encoding.PEM))
    (tmp_path / "line.pem").write_bytes(chain[1].public_bytes(Encoding.PEM))
    questions: dict[str, list[str | Path]] = {
        "server": ["-purpose", "sslserver", "-CAfile", factory.authorities / "gateway.pem", desk.folder / "server.pem"],
        "client": [
            *("-purpose", "sslclient", "-CAfile", desk.folder / "admitted-clients.pem"),
            *("-untrusted", tmp_path / "line.pem", tmp_path / "device.pem"),
        ],
        "bridge": ["-purpose", "sslclient", "-CAfile", desk.folder / "bridge.pem", desk.folder / "bridge.pem"],
    }
    for name, question in questions.items():
        strict = [] if name == "bridge" else ["-x509_strict"]  # a leaf as its own anchor is no CA, and says so
        judged = subprocess.run(
            ["openssl", "verify", *strict, "-attime", at, "-no-CApath", "-no-CAstore", *question],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (judged.returncode == 0) is holds, f"{name}: {judged.stdout}{judged.stderr}"


@pytest.mark.judge
def test_the_gateway_stops_by_itself_and_does_not_start_again(factory: Factory, tmp_path: Path) -> None:
    folder = tmp_path / "gateway"
    ending = make_desk(factory, folder, lasts=timedelta(seconds=4))
    with running(folder, ending.broker.listen_port) as broker:
        assert broker.wait(30) == 124, "timeout(1): it was ended because its time was over"
    again = subprocess.run([folder / "start"], capture_output=True, text=True, check=False, timeout=30)
    assert again.returncode == 1
    assert "has ended" in again.stderr


def test_the_page_in_the_folder_says_how_to_start_watch_and_end_it(desk: GatewayDesk) -> None:
    text = (desk.folder / "README.txt").read_text(encoding="utf-8")
    for said in (str(desk.folder / "start"), f"mosquitto_sub -h 127.0.0.1 -p {desk.broker.watch_port}", HOST):
        assert said in text
    assert "the command that ends it" in text
    assert shutil.which("sh")
