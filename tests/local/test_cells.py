"""Cells: on loopback only, under our certificate, started once, and gone when they are stopped."""

import io
import json
import socket
import ssl
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from local import cell as cell_module
from local.background import BackgroundProcess, _birth, _working_for, stop_processes
from local.cell_process import INVOCATIONS_AT_ONCE, loopback_address
from local.cell_tls import KEY_FILE, LIFETIME, RENEWAL, TRUST_ANCHORS_FILE
from local.cells import Cell, CellError, Cells, read_cells, start_cells
from tests.local.running_desk import DOMAIN, HOME_REGION, OTHER_REGION, cloud_client, kill

CLUSTER = f"eu1.clusters.{DOMAIN}"
LISTENING = "0A"
"""The state of a listening socket in /proc/net/tcp."""

pytestmark = pytest.mark.cloud


def client(service: str, cell: Cell) -> Any:
    return cloud_client(service, cell.endpoint, cell.region)


def start(home: Path, *regions: str, **options: Any) -> Cells:
    return start_cells(home, regions, home_region=HOME_REGION, domain=DOMAIN, **options)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("desk")


@pytest.fixture
def cells(home: Path) -> Cells:
    """Two cells, healthy at the start of each test; started anew only after a test that broke them."""
    return start(home, OTHER_REGION)


@pytest.fixture(scope="module", autouse=True)
def _end(home: Path) -> Iterator[None]:
    yield
    remembered = read_cells(home, home_region=HOME_REGION)
    if remembered is not None:
        remembered.stop()
    assert not [pid for region in (HOME_REGION, OTHER_REGION) for pid in _working_for(home / "cells" / region)]


def listeners(pid: int) -> list[str]:
    """The addresses a process listens on, as the kernel writes them."""
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = descriptor.readlink().name
        except FileNotFoundError:
            continue
        if target.startswith("socket:["):
            inodes.add(target.removeprefix("socket:[").removesuffix("]"))
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTENING and fields[9] in inodes:
                found.append(fields[1].partition(":")[0])
    return found


def handshake(cell: Cell, name: str, anchors: Path) -> str | None:
    context = ssl.create_default_context(cafile=str(anchors))
    with (
        socket.create_connection(("127.0.0.1", cell.mqtt_port), timeout=30) as raw,
        context.wrap_socket(raw, server_hostname=name) as secured,
    ):
        return secured.version()


def test_nothing_of_a_cell_listens_beyond_loopback(cells: Cells) -> None:
    client("transfer", cells.home).create_server()
    for cell in cells.cells.values():
        addresses = listeners(cell.pid)
        assert len(addresses) >= 2, "the AWS endpoint and MQTT at least"
        assert set(addresses) <= {"0100007F"}, "127.0.0.1 in the kernel's hexadecimal"


def test_a_cluster_name_verifies_with_tls_1_3_against_the_desks_trust_anchors(cells: Cells, home: Path) -> None:
    for cell in cells.cells.values():
        assert handshake(cell, CLUSTER, home / TRUST_ANCHORS_FILE) == "TLSv1.3"
        assert handshake(cell, f"abc-ats.iot.{cell.region}.localhost", home / TRUST_ANCHORS_FILE) == "TLSv1.3"


@pytest.mark.parametrize("name", ["eu1.clusters.example.org", f"a.b.clusters.{DOMAIN}", DOMAIN])
def test_a_name_that_is_not_a_clusters_fails_the_handshake(cells: Cells, home: Path, name: str) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        handshake(cells.home, name, home / TRUST_ANCHORS_FILE)


def test_the_authoritys_key_is_its_owners_alone(cells: Cells, home: Path) -> None:
    assert (home / KEY_FILE).stat().st_mode & 0o777 == 0o600
    state = cells.home.process.folder / "state"
    assert {path.stat().st_mode & 0o077 for path in (state, *state.iterdir())} == {0}, "the seed holds the key too"
    assert "PRIVATE" not in (home / TRUST_ANCHORS_FILE).read_text()


def test_started_again_the_same_cells_are_used(cells: Cells, home: Path) -> None:
    assert start(home, OTHER_REGION) == cells
    assert read_cells(home, home_region=HOME_REGION) == cells


def test_a_region_without_a_cell_is_an_error_that_names_those_there_are(cells: Cells) -> None:
    assert cells.endpoint(OTHER_REGION) == cells.cells[OTHER_REGION].endpoint
    with pytest.raises(CellError, match=f"sa-east-1.*{HOME_REGION}, {OTHER_REGION}"):
        cells.endpoint("sa-east-1")


def test_a_killed_cell_comes_back_empty_and_says_so_and_the_other_is_untouched(cells: Cells, home: Path) -> None:
    for cell in cells.cells.values():
        client("dynamodb", cell).create_table(
            TableName="kept",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
    kill(cells.home.process)
    again = start(home, OTHER_REGION)
    assert again.home.incarnation != cells.home.incarnation
    assert again.home.endpoint == cells.home.endpoint, "what a user exported stays true"
    assert client("dynamodb", again.home).list_tables()["TableNames"] == []
    assert again.cells[OTHER_REGION] == cells.cells[OTHER_REGION]
    assert client("dynamodb", again.cells[OTHER_REGION]).list_tables()["TableNames"] == ["kept"]


def test_a_stopped_cell_comes_back_empty_too(cells: Cells, home: Path) -> None:
    client("sqs", cells.home).create_queue(QueueName="gone")
    cells.stop()
    cells.stop()
    assert not cells.home.is_healthy
    assert read_cells(home, home_region=HOME_REGION) is None
    again = start(home, OTHER_REGION).home
    assert client("sqs", again).list_queues().get("QueueUrls", []) == []


HANDLER = """
import json, os, sys, time
def handler(event, context):
    if event.get("marker"):
        with open(event["marker"], "w") as file:
            file.write(str(os.getpid()))
        time.sleep(600)
    return {"pid": os.getpid(), "python": sys.executable, "profile": os.path.expanduser("~")}
"""


def deploy_function(cell: Cell, name: str = "worker", source: str = HANDLER) -> Any:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("worker.py", source)
    role = client("iam", cell).create_role(
        RoleName=name,
        AssumeRolePolicyDocument=json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Principal": {"Service": "lambda.amazonaws.com"},
                        "Action": "sts:AssumeRole",
                    }
                ],
            }
        ),
    )["Role"]["Arn"]
    functions = client("lambda", cell)
    functions.create_function(
        FunctionName=name,
        Runtime="python3.11",
        Role=role,
        Handler="worker.handler",
        Code={"ZipFile": archive.getvalue()},
        Timeout=900,
    )
    functions.get_waiter("function_active_v2").wait(FunctionName=name)
    return functions


def test_a_function_runs_in_this_python_and_ends_with_its_cell(home: Path) -> None:
    cells = start(home, OTHER_REGION)
    cells.stop()
    cells = start(home, OTHER_REGION)
    answer = json.load(deploy_function(cells.home).invoke(FunctionName="worker")["Payload"])
    assert answer["python"] == sys.executable
    assert answer["profile"].startswith(str(home)), "a function finds no AWS profile of the machine's"
    assert answer["pid"] in _working_for(cells.home.process.folder)
    cells.stop()
    assert _working_for(cells.home.process.folder) == []


def test_a_function_still_at_work_when_its_cell_was_killed_is_ended_too(home: Path, tmp_path: Path) -> None:
    cells = start(home, OTHER_REGION)
    marker = tmp_path / "at-work"
    deploy_function(cells.home).invoke(
        FunctionName="worker", InvocationType="Event", Payload=json.dumps({"marker": str(marker)})
    )
    wait_until(lambda: marker.exists() and marker.read_text() != "")
    kill(cells.home.process)
    worker = int(marker.read_text())
    assert worker in _working_for(cells.home.process.folder)
    cells.stop()
    assert _birth(worker) == "", "it runs no more"


COUNTER = """
import os, time
def handler(event, context):
    time.sleep(0.02)
    with open(os.path.join(event["folder"], f"{event['number']}.{os.getpid()}"), "w"):
        pass
"""
BURST = 60


def test_a_burst_of_messages_waits_for_the_few_workers_of_a_rules_function_and_none_is_lost(
    home: Path, tmp_path: Path
) -> None:
    cells = start(home, OTHER_REGION)
    functions = deploy_function(cells.home, "counter", COUNTER)
    arn = functions.get_function(FunctionName="counter")["Configuration"]["FunctionArn"]
    functions.add_permission(
        FunctionName="counter", StatementId="rule", Action="lambda:InvokeFunction", Principal="iot.amazonaws.com"
    )
    client("iot", cells.home).create_topic_rule(
        ruleName="burst",
        topicRulePayload={"sql": "SELECT * FROM 'burst'", "actions": [{"lambda": {"functionArn": arn}}]},
    )
    messages = client("iot-data", cells.home)
    for number in range(BURST):
        payload = json.dumps({"folder": str(tmp_path), "number": number})
        messages.publish(topic="burst", qos=1, payload=payload)
    wait_until(lambda: len(list(tmp_path.iterdir())) == BURST)
    assert len({path.suffix for path in tmp_path.iterdir()}) <= INVOCATIONS_AT_ONCE, "as many processes"


def wait_until(condition: Callable[[], bool]) -> None:
    """pytest's own time-out ends a wait for what never comes."""
    while not condition():
        time.sleep(0.02)


def test_a_stranger_with_a_recorded_number_is_never_touched(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True) as stranger:
        recorded = BackgroundProcess(pid=stranger.pid, birth="1", folder=tmp_path)
        assert not recorded.is_alive
        stop_processes([recorded])
        assert stranger.poll() is None
        stranger.kill()


def test_a_cell_that_will_not_start_is_an_error_with_the_end_of_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("raise SystemExit('no cloud today')")
    monkeypatch.setattr(cell_module, "_LAUNCHER", broken)
    with pytest.raises(CellError, match=r"(?s)eu-north-1: its process ended at once.*no cloud today"):
        start(tmp_path / "desk")
    assert read_cells(tmp_path / "desk", home_region=HOME_REGION) is None


def test_a_port_taken_meanwhile_is_given_up_for_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free_ports = cell_module._free_ports
    with socket.create_server(("127.0.0.1", 0)) as taken:
        answers = [(taken.getsockname()[1], free_ports()[1]), (free_ports()[0], taken.getsockname()[1])]
        monkeypatch.setattr(cell_module, "_free_ports", lambda: answers.pop(0) if answers else free_ports())
        cells = start(tmp_path)
        assert cells.home.is_healthy
        assert taken.getsockname()[1] not in (cells.home.mqtt_port, int(cells.home.endpoint.rpartition(":")[2]))
        assert len(_working_for(cells.home.process.folder)) == 1, "the attempts that failed are gone"
        cells.stop()


def test_a_region_no_longer_asked_for_is_stopped(tmp_path: Path) -> None:
    both = start(tmp_path, OTHER_REGION)
    one = start(tmp_path)
    assert one.home == both.home
    assert not both.cells[OTHER_REGION].process.is_alive
    one.stop()


def test_an_authority_near_its_end_is_replaced_and_the_cell_with_it(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    first = start(tmp_path, clock=lambda: now - LIFETIME + RENEWAL + timedelta(days=2))
    anchors = (tmp_path / TRUST_ANCHORS_FILE).read_bytes()
    assert handshake(first.home, CLUSTER, tmp_path / TRUST_ANCHORS_FILE) == "TLSv1.3"
    second = start(tmp_path, clock=lambda: now + timedelta(days=3))
    assert (tmp_path / TRUST_ANCHORS_FILE).read_bytes() != anchors
    assert second.home.incarnation != first.home.incarnation
    second.stop()


@pytest.mark.parametrize(
    ("family", "asked", "bound"),
    [
        (socket.AF_INET, ("0.0.0.0", 8883), ("127.0.0.1", 8883)),  # noqa: S104  # what is to be refused
        (socket.AF_INET, ("", 0), ("127.0.0.1", 0)),
        (socket.AF_INET, ("127.0.0.1", 1), ("127.0.0.1", 1)),
        (socket.AF_INET, ("localhost", 1), ("localhost", 1)),
        (socket.AF_INET6, ("::", 8883, 0, 0), ("::1", 8883, 0, 0)),
        (socket.AF_INET6, ("::1", 1), ("::1", 1)),
        (socket.AF_UNIX, "/some/where", "/some/where"),
    ],
)
def test_every_interface_becomes_loopback(family: int, asked: Any, bound: Any) -> None:
    assert loopback_address(family, asked) == bound


def test_another_interface_is_refused() -> None:
    with pytest.raises(OSError, match=r"loopback only, not on 192\.0\.2\.7"):
        loopback_address(socket.AF_INET, ("192.0.2.7", 80))
