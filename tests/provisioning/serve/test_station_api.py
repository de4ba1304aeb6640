"""The station's API: one call a device, the words of the commands, and nobody else at the door."""

import os
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from provisioning.certify import certify
from provisioning.draft import draft
from provisioning.ledger.ledger import Ledger
from provisioning.ledger.records import Prepared
from provisioning.ledger.schema import LEDGER_FILE
from provisioning.ledger.uploads import pending
from provisioning.serve.access import MAX_AT_ONCE
from provisioning.serve.application import station_api
from provisioning.serve.readiness import MIN_FREE_BYTES, checks
from provisioning.station import Station
from tests.provisioning.connected import BOTH_LINES, UNREACHABLE, Connected
from tests.provisioning.factory import Factory
from tests.provisioning.requests import csr, p256
from tests.provisioning.serve.station_here import TOKEN, answer_of
from tests.provisioning.serve.station_server import StationServer, station_server

PATIENCE = 200
"""How often the same is asked while the server gets to what is under way."""


@pytest.fixture(scope="module")
def served(
    opened_factory: Factory, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Factory, StationServer]]:
    home = tmp_path_factory.mktemp("served")
    shutil.copytree(opened_factory.home, home, dirs_exist_ok=True)
    factory = Factory(home)
    with station_server(factory) as server:
        yield factory, server


@pytest.fixture
def server(served: tuple[Factory, StationServer]) -> StationServer:
    return served[1]


def test_one_call_gives_the_bundle_and_the_same_call_gives_the_same(served: tuple[Factory, StationServer]) -> None:
    factory, server = served
    request = csr(p256())
    first = server.issue("device1", request)
    assert (first.status, first.kind) == (201, "application/json"), first.text
    again = server.issue("device1", request)
    assert (again.status, again.json) == (200, first.json)
    found = server.ask("GET", "/v1/devices/device1")
    assert (found.status, found.json) == (200, first.json)
    leaf, issuer = x509.load_pem_x509_certificates(first.json["files"]["chain"].encode())
    leaf.verify_directly_issued_by(issuer)
    assert first.json["files"]["bundle"]["device"] == "device1"
    steps = [row["step"] for row in factory.ledger("show", "--device", "device1").json["steps"]]
    assert steps == ["reserved", "prepared", "signed", "delivered"], "durable before it was answered"


def test_the_command_and_the_api_answer_for_one_ledger(served: tuple[Factory, StationServer]) -> None:
    factory, server = served
    issued = factory.issue("device2")
    assert issued.code == 0, issued.err
    assert server.ask("GET", "/v1/devices/device2").json["fingerprint"] == issued.json["fingerprint"]
    refused = server.issue("device2", csr(p256()))
    assert refused.status == 409
    assert refused.kind == "application/problem+json"
    path = factory.home / "other.csr.pem"
    path.write_bytes(csr(p256()))
    told = factory.issue("device2", "--csr", path, "--out", factory.home / "another")
    assert told.code == 2
    assert refused.json["detail"] in told.err, "the same words in both"
    assert (refused.json["who"], refused.json["device"]) == ("line", "device2")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": "fl1"}, "makes no model 'fl1'"),
        ({"authority": "line-z"}, "has no authority 'line-z'"),
        ({"csr": "nonsense"}, "no certificate request in PEM"),
        ({"device": "Device"}, "body.device"),
        ({"surprise": "1"}, "body.surprise"),
    ],
)
def test_what_the_line_must_change_is_said_as_the_commands_say_it(
    change: dict[str, str], said: str, server: StationServer
) -> None:
    wanted = {"device": "device3", "model": "fl50", "authority": "line-a", "csr": csr(p256()).decode()} | change
    answered = server.ask("POST", "/v1/identities", wanted)
    assert (answered.status, answered.kind) == (422, "application/problem+json")
    assert answered.json["who"] == "line"
    assert said in answered.json["detail"]


def test_a_stranger_on_the_same_machine_is_turned_away(served: tuple[Factory, StationServer]) -> None:
    factory, server = served
    for stranger in (server.as_stranger(), server.as_stranger("wrong"), server.as_stranger(server.token[:-1])):
        for path in ("/v1/devices/device1", "/ready", "/metrics", "/openapi.json"):
            assert stranger.ask("GET", path).status == 401, path
    assert server.as_stranger().ask("GET", "/health").json == {"is_alive": True}
    assert server.ask("GET", "/ready", headers={"Host": "evil.example"}).status == 421, "DNS rebinding"
    assert stat.S_IMODE((factory.folder / "station.token").stat().st_mode) == 0o600


def test_a_body_that_is_no_text_is_refused_in_words(server: StationServer) -> None:
    answered = server.ask("POST", "/v1/identities", b"\xff\xfe\x00")
    assert (answered.status, answered.kind) == (422, "application/problem+json")
    assert "no JSON in UTF-8" in answered.json["detail"]


def test_more_than_a_request_can_be_is_not_read(server: StationServer) -> None:
    large = server.ask("POST", "/v1/identities", b"x" * (128 * 1024 + 1))
    assert (large.status, large.kind) == (413, "application/problem+json")
    chunked = server.ask("POST", "/v1/identities", b"", headers={"Content-Length": "-1"})
    assert chunked.status in (400, 413)


def test_more_requests_than_a_line_has_are_told_to_ask_again(server: StationServer) -> None:
    request = csr(p256())
    begun = (
        f"POST /v1/identities HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {server.token}\r\n"
        "Content-Type: application/json\r\nContent-Length: 9\r\n\r\n"
    )
    with ExitStack() as held:
        slow = [held.enter_context(socket.create_connection(("127.0.0.1", server.port))) for _ in range(MAX_AT_ONCE)]
        for each in slow:
            each.sendall(begun.encode())
        answers = (server.issue("device3", request) for _ in range(PATIENCE))
        busy = next(answer for answer in answers if answer.status not in (200, 201))
        assert (busy.status, busy.kind, busy.json["type"]) == (503, "application/problem+json", "/problems/busy")
        assert (busy.json["who"], busy.retry_after) == ("line", "1")
        assert server.as_stranger().ask("GET", "/health").status == 200, "who watches over it still sees it"
        assert server.as_stranger().ask("GET", "/ready").status == 401
    answers = (server.issue("device3", request) for _ in range(PATIENCE))
    again = next(answer for answer in answers if answer.status != busy.status)
    assert again.status in (200, 201), "once they are gone"


def test_what_is_not_there_is_said_as_a_problem(server: StationServer) -> None:
    for method, path, status in (
        ("GET", "/v1/devices/nobody", 404),
        ("POST", "/v1/devices/nobody/retirement", 404),
        ("GET", "/nowhere", 404),
        ("DELETE", "/v1/identities", 405),
    ):
        answered = server.ask(method, path, {"reason": "superseded"} if method == "POST" else None)
        assert (answered.status, answered.kind) == (status, "application/problem+json"), path


def test_a_retired_device_may_have_a_new_identity_with_a_new_key(server: StationServer) -> None:
    old = csr(p256())
    server.issue("device4", old)
    retirement = {"reason": "superseded", "note": "new board"}
    assert server.ask("POST", "/v1/devices/device4/retirement", retirement).json["is_new"] is True
    assert server.ask("POST", "/v1/devices/device4/retirement", retirement).json["is_new"] is False
    ended = server.ask("GET", "/v1/devices/device4").json
    assert (ended["standing"], ended["files"]) == ("revoked", None)
    assert server.issue("device4", old).status == 409, "that key is never certified again"
    assert server.issue("device4", csr(p256())).status == 201


def test_the_station_counts(server: StationServer) -> None:
    server.issue("device5", csr(p256()))
    server.issue("device5", csr(p256()))
    server.ask("GET", "/ready")
    text = server.ask("GET", "/metrics").text
    assert 'flotilla_station_identities_total{outcome="issued"}' in text
    assert 'flotilla_station_identities_total{outcome="conflict"}' in text
    assert "flotilla_station_issuing_seconds_count" in text
    assert "flotilla_station_ready 1.0" in text


def test_two_servers_that_race_on_one_device_give_one_certificate_or_a_conflict(
    served: tuple[Factory, StationServer],
) -> None:
    factory, server = served
    with station_server(factory) as second, ThreadPoolExecutor(8) as threads:
        for number in range(5):
            same = csr(p256())
            racing = [threads.submit(each.issue, f"race-{number}", same) for each in (server, second) * 2]
            answers = [each.result() for each in racing]
            assert {answer.status for answer in answers} <= {200, 201}
            assert len({answer.json["fingerprint"] for answer in answers}) == 1
        for number in range(5):
            racing = [threads.submit(each.issue, f"keys-{number}", csr(p256())) for each in (server, second) * 2]
            statuses = sorted(each.result().status for each in racing)
            assert statuses == [201, 409, 409, 409]
        assert second.stop() == 0, "told to stop, it stops in good order"


def test_a_server_killed_in_the_middle_goes_on_where_it_was(factory: Factory) -> None:
    request = csr(p256())
    with station_server(factory) as server, ThreadPoolExecutor(4) as threads:
        running = [threads.submit(server.issue, f"device-{number}", csr(p256())) for number in range(8)]
        first = server.issue("device1", request)
        server.process.kill()
        for each in running:
            each.exception()
    with station_server(factory) as server:
        again = server.issue("device1", request)
        assert again.json == first.json, "what was acknowledged stands"


def test_an_authority_that_cannot_sign_is_503_and_names_device_and_way_out(factory: Factory) -> None:
    (factory.folder / "passphrase").unlink()
    with station_server(factory) as server:
        answered = server.issue("device1", csr(p256()))
        assert answered.status == 503
        assert answered.json["device"] == "device1"
        assert answered.json["who"] == "station"
        assert "passphrase" in answered.json["detail"]
        ready = server.ask("GET", "/ready")
        assert ready.status == 503
        failed = [check["name"] for check in ready.json["checks"] if not check["is_ok"]]
        assert failed == ["authority line-a"]
    assert factory.ledger("list").json["issuances"] == [], "nothing was reserved for a certificate that cannot be"


def station(factory: Factory, now: datetime) -> Station:
    return Station.open(
        stack="dev", factory=factory.folder, authorities=factory.authorities, clock=lambda: now, ask=lambda _: "0000"
    )


def test_a_full_disk_and_a_clock_that_went_back_are_seen_before_the_shift(factory: Factory) -> None:
    assert factory.issue("device1").code == 0
    now = datetime.now(UTC)
    full = checks(station(factory, now), free_bytes=lambda _folder: MIN_FREE_BYTES - 1)
    assert [check.name for check in full if not check.is_ok] == ["disk"]
    back = checks(station(factory, now - timedelta(hours=2)))
    assert "clock" in [check.name for check in back if not check.is_ok]
    assert all(check.is_ok for check in checks(station(factory, now)))


def test_a_device_that_a_power_cut_left_half_done_comes_back_with_a_new_key_through_the_api_alone(
    factory: Factory,
) -> None:
    opened = station(factory, datetime.now(UTC))
    api = station_api(opened, TOKEN)
    cut_off(opened, "device1", record=False)
    wanted = {"device": "device1", "model": "fl50", "authority": "line-a", "csr": csr(p256()).decode()}
    refused = answer_of(api, "POST", "/v1/identities", wanted)
    assert refused.status == 409
    assert f"--stack dev --factory {factory.folder}" in refused.json["detail"], "the command leads to this ledger"
    retirement = {"reason": "superseded", "note": "the power went"}
    ended = [answer_of(api, "POST", "/v1/devices/device1/retirement", retirement) for _ in range(2)]
    assert [(each.status, each.json["is_new"]) for each in ended] == [(200, True), (200, False)]
    assert answer_of(api, "POST", "/v1/identities", wanted).status == 201


def test_whoever_is_shown_a_bundle_was_handed_it_so_the_next_sync_tells_of_it(factory: Factory) -> None:
    now = datetime.now(UTC)
    opened = station(factory, now)
    cut_off(opened, "device1", record=True)
    early = answer_of(station_api(station(factory, now - timedelta(hours=2)), TOKEN), "GET", "/v1/devices/device1")
    assert (early.status, early.json["who"]) == (503, "station"), "nothing that is not valid is handed out"
    with Ledger.open(factory.folder, "dev") as ledger:
        assert list(pending(ledger, "manifest")) == [], "nobody has it yet"
        found = answer_of(station_api(opened, TOKEN), "GET", "/v1/devices/device1")
        ((told,),) = pending(ledger, "manifest")
    assert found.json["files"] is not None
    assert told.fingerprint == found.json["fingerprint"]


def test_a_ledger_that_cannot_be_read_is_a_problem_of_the_station(factory: Factory) -> None:
    assert factory.issue("device1").code == 0
    with Ledger.open(factory.folder, "dev") as ledger:
        ledger.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page,) = ledger.connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'issuance'").fetchone()
        (size,) = ledger.connection.execute("PRAGMA page_size").fetchone()
    with (factory.folder / LEDGER_FILE).open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    api = station_api(station(factory, datetime.now(UTC)), TOKEN)
    for method, path in (("GET", "/v1/devices/device1"), ("POST", "/v1/devices/device1/retirement")):
        answered = answer_of(api, method, path, None if method == "GET" else {"reason": "superseded"})
        assert (answered.status, answered.kind) == (503, "application/problem+json"), answered.text
        assert answered.json["who"] == "station"
        assert "the ledger failed (database disk image is malformed)" in answered.json["detail"]


def cut_off(opened: Station, device: str, *, record: bool) -> None:
    """What a power cut leaves: prepared and never signed, or recorded and never handed over."""
    order = opened.order(device=device, model="fl50", authority="line-a")
    authority, now = opened.authority("line-a"), opened.clock()
    intent = draft(opened.request(order, csr(p256())), authority.template, profile=order.profile, now=now, serial=99)
    with Ledger.open(opened.factory, "dev", create=True) as ledger:
        prepared = ledger.prepare(intent, at=now)
        assert isinstance(prepared, Prepared)
        if record:
            ledger.record(prepared, certify(prepared.to_be_signed, authority.signer), at=now)


def test_python_issues_as_the_server_does(factory: Factory) -> None:
    opened = station(factory, datetime.now(UTC))
    order = opened.order(device="device1", model="fl50", authority="line-a")
    issued = opened.issue(order, opened.request(order, csr(p256())))
    assert issued.is_new
    found = opened.find(order.device)
    assert found == issued.identity
    assert opened.bundle_of(issued.identity) == issued.files


def test_the_api_keeps_to_its_description_whatever_it_is_sent(server: StationServer, tmp_path: Path) -> None:
    checked = (
        "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,"
        "negative_data_rejection,ignored_auth,unsupported_method"
    )
    done = subprocess.run(
        [
            *(Path(sys.executable).parent / "schemathesis", "run", f"http://127.0.0.1:{server.port}/openapi.json"),
            *("--header", f"Authorization: Bearer {server.token}", "--checks", checked),
            *("--max-examples", "10", "--phases", "examples,coverage,fuzzing", "--seed", "1"),
            *("--generation-database", "none", "--no-color"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


@pytest.mark.cloud
def test_kms_out_of_reach_is_503_and_the_same_call_goes_on_once_it_is_back(connected: Connected) -> None:
    factory, request = connected.factory, csr(p256())
    more = ("--outputs", connected.outputs)
    assert factory.ceremony(BOTH_LINES, *more, variables=connected.variables).code == 0
    out_of_reach = {**os.environ, **connected.variables, "AWS_ENDPOINT_URL": UNREACHABLE}
    with station_server(factory, *more, variables=out_of_reach) as server:
        answered = server.issue("device1", request, model="fl100", authority="line-b")
        assert (answered.status, answered.json["type"]) == (503, "/problems/signer")
        assert (answered.json["device"], answered.json["who"]) == ("device1", "operator")
        assert "kms:GetPublicKey" in answered.json["detail"]
        assert server.issue("device2", csr(p256())).status == 201, "another authority is not in its way"
    with station_server(factory, *more, variables={**os.environ, **connected.variables}) as server:
        assert server.issue("device1", request, model="fl100", authority="line-b").status == 201
