"""The front door: one endpoint, and every request in the region it was signed for."""

import socket
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from local.background import stop_processes
from local.front_door import FrontDoor, Scope, one_request, scope_of
from local.http_head import HEAD_LIMIT_BYTES, Head, HeadError, parse_head
from tests.local.running_desk import HOME_REGION, OTHER_REGION, RunningDesk, running_desk

SIGNED = "AWS4-HMAC-SHA256 Credential={}, SignedHeaders=host;x-amz-date, Signature=00"


def head(*headers: tuple[str, str], target: str = "/") -> Head:
    return Head("GET", target, "HTTP/1.1", headers)


@pytest.mark.parametrize(
    ("request_head", "scope"),
    [
        (
            head(("Authorization", SIGNED.format("AK/20261122/eu-north-1/iot/aws4_request"))),
            Scope("eu-north-1", "iot"),
        ),
        (
            head(("authorization", SIGNED.format("A/K/20261122/us-east-1/s3/aws4_request"))),
            Scope("us-east-1", "s3"),
        ),
        (
            head(target="/bucket/key?X-Amz-Credential=AK%2F20261122%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Expires=60"),
            Scope("us-east-1", "s3"),
        ),
        (head(), None),
        (head(("Authorization", "AWS AK:signature")), None),
        (head(("Authorization", SIGNED.format("AK/20261122/s3/aws4_request"))), None),
        (head(target="/?AWSAccessKeyId=AK&Signature=x"), None),
    ],
    ids=["header", "slash in the key", "presigned", "unsigned", "version 2", "no region", "presigned version 2"],
)
def test_the_scope_is_what_the_request_was_signed_for(request_head: Head, scope: Scope | None) -> None:
    assert scope_of(request_head) == scope


@pytest.mark.parametrize(
    ("credential", "region"),
    [
        ("AK/20261122/us-east-1/iot/aws4_request", OTHER_REGION),
        ("AK/20261122/us-east-1/route53/aws4_request", HOME_REGION),
        ("AK/20261122/us-east-1/iam/aws4_request", HOME_REGION),
        ("AK/20261122/sa-east-1/iot/aws4_request", HOME_REGION),
        ("", HOME_REGION),
    ],
    ids=["its own", "Route 53", "IAM", "a region without a cell", "unsigned"],
)
def test_what_is_global_or_of_no_region_is_answered_at_home(credential: str, region: str) -> None:
    door = FrontDoor({HOME_REGION: 1, OTHER_REGION: 2}, HOME_REGION)
    assert door.region_for(head(("Authorization", SIGNED.format(credential)))) == region


def test_a_request_is_passed_on_as_the_last_of_its_connection() -> None:
    passed = one_request(head(("Host", "h"), ("Connection", "keep-alive"), ("Keep-Alive", "timeout=5"), ("X", "1")))
    assert passed.headers == (("Host", "h"), ("X", "1"), ("Connection", "close"))


def test_a_request_to_speak_another_protocol_is_passed_on_untouched() -> None:
    upgrade = head(("Connection", "Upgrade"), ("Upgrade", "websocket"))
    assert one_request(upgrade) == upgrade


@pytest.mark.parametrize(
    "raw",
    [
        b"GET /\r\n\r\n",
        b"\x16\x03\x01\x02\x00\r\n\r\n",
        b"GET / HTTP/2\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\n folded: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nname : x\r\n\r\n",
    ],
)
def test_what_is_no_http_is_refused(raw: bytes) -> None:
    with pytest.raises(HeadError):
        parse_head(raw)


def test_a_head_is_written_as_it_was_read() -> None:
    raw = b"PUT /caf\xe9?a=b HTTP/1.1\r\nHost: h\r\nX-Amz-Meta-A: b: c\r\n\r\n"
    assert parse_head(raw).to_bytes() == raw


def exchange(desk: RunningDesk, request: bytes) -> bytes:
    """What the door says to raw bytes, until it closes."""
    with socket.create_connection(("127.0.0.1", desk.network.ports.front_door), timeout=60) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.cloud
def test_fifty_calls_at_once_each_land_in_the_region_they_were_signed_for(desk: RunningDesk) -> None:
    clients = {region: desk.client("dynamodb", region) for region in desk.cells.cells}

    def create(number: int) -> None:
        region = (HOME_REGION, OTHER_REGION)[number % 2]
        clients[region].create_table(
            TableName=f"table-{number:02}",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )

    with ThreadPoolExecutor(max_workers=50) as pool:
        list(pool.map(create, range(50)))
    found = {region: client.list_tables()["TableNames"] for region, client in clients.items()}
    assert found == {
        HOME_REGION: [f"table-{number:02}" for number in range(0, 50, 2)],
        OTHER_REGION: [f"table-{number:02}" for number in range(1, 50, 2)],
    }


@pytest.mark.cloud
def test_a_large_object_goes_up_after_100_continue_and_comes_down_equal(desk: RunningDesk) -> None:
    storage = desk.client("s3", OTHER_REGION)
    storage.create_bucket(Bucket="fleet-large")
    body = bytes(range(256)) * 40_000
    asked: list[str] = []
    storage.meta.events.register("before-send.s3.PutObject", lambda request, **_: asked.append(str(request.headers)))
    storage.put_object(Bucket="fleet-large", Key="k", Body=body)
    assert "100-continue" in asked[0], "the client waits for the cell's word before it sends"
    assert storage.get_object(Bucket="fleet-large", Key="k")["Body"].read() == body
    with pytest.raises(ClientError, match="404"):
        desk.client("s3", HOME_REGION).head_bucket(Bucket="fleet-large")


@pytest.mark.cloud
def test_a_presigned_url_leads_to_its_own_region(desk: RunningDesk) -> None:
    storage = desk.client("s3", OTHER_REGION, signature_version="s3v4")
    storage.create_bucket(Bucket="fleet-presigned")
    storage.put_object(Bucket="fleet-presigned", Key="k", Body=b"firmware")
    url = storage.generate_presigned_url("get_object", Params={"Bucket": "fleet-presigned", "Key": "k"})
    with urllib.request.urlopen(url, timeout=60) as response:  # noqa: S310  # a URL of the desk's own
        assert response.read() == b"firmware"


@pytest.mark.cloud
def test_one_connection_carries_one_request(desk: RunningDesk) -> None:
    request = b"GET /_ministack/health HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n"
    answer = exchange(desk, request)
    assert answer.count(b"HTTP/1.1 200") == 1
    assert b"connection: close" in answer.lower()


@pytest.mark.cloud
@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"\x16\x03\x01 this is TLS\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * (HEAD_LIMIT_BYTES + 1), b"431"),
    ],
    ids=["no HTTP", "an endless head"],
)
def test_what_is_no_request_is_answered_so(desk: RunningDesk, request_bytes: bytes, status: bytes) -> None:
    assert exchange(desk, request_bytes).split(b" ")[1] == status


@pytest.mark.cloud
def test_a_region_whose_cell_is_gone_is_unavailable_and_the_others_answer(tmp_path: Path) -> None:
    with running_desk(tmp_path) as desk:
        stop_processes([desk.cells.cells[OTHER_REGION].process])
        signed = SIGNED.format(f"AK/20261122/{OTHER_REGION}/iot/aws4_request")
        request = urllib.request.Request(desk.network.front_door_url, headers={"Authorization": signed})  # noqa: S310  # a URL of the desk's own
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=60)  # noqa: S310  # a URL of the desk's own
        with refused.value as answer:
            assert answer.code == 503
            assert OTHER_REGION in answer.read().decode()
        assert desk.client("sts", HOME_REGION).get_caller_identity()["Account"] == "0" * 12
