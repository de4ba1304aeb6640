"""Lists of a factory as its people make them: shown first, numbered for ever, and believed by others."""

import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import provisioning.commands.crl as command
import provisioning.crl.issue_list as issuing
from protocol.device_id import DeviceId
from provisioning.crl.listed import Scope, ended, position_of
from provisioning.crl.note import read_note, with_since
from provisioning.crl.shelf import Numbered, Shelf
from provisioning.crl.withdrawn import Withdrawn, read_withdrawn, withdraw
from provisioning.ledger.ledger import Ledger
from provisioning.ledger.records import Intent, Reason
from tests.provisioning.factory import Factory, Finished, provisioning
from tests.provisioning.requests import name, p256

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


class Clock:
    """A station's clock that a test sets; every look takes a second, as between two commands of a person."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(command, "now", made)
    return made


def crl(factory: Factory, *more: str | Path, authority: str = "line-a") -> Finished:
    return provisioning(
        *("crl", "--stack", "dev", "--authority", authority, "--factory", factory.folder),
        *("--authorities", factory.authorities, "--json", *more),
    )


def read(factory: Factory, file: str = "line-a.crl") -> x509.CertificateRevocationList:
    return x509.load_der_x509_crl((factory.folder / "crl" / file).read_bytes())


def number(of: x509.CertificateRevocationList) -> int:
    return of.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def serials(of: x509.CertificateRevocationList) -> set[int]:
    return {each.serial_number for each in of}


def test_a_list_is_shown_then_signed_and_openssl_believes_it(factory: Factory, clock: Clock) -> None:
    for device in ("device1", "device2"):
        assert factory.issue(device).code == 0
    assert factory.revoke("device1", reason="key-compromise").code == 0
    shown = crl(factory)
    assert shown.code == 0, shown.err
    assert (shown.json["result"], shown.json["number"], shown.json["certificates"]) == ("would be signed", 1, 1)
    assert not (factory.folder / "crl").exists(), "without --apply nothing is written"
    done = crl(factory, "--apply")
    assert (done.json["result"], done.json["number"], done.json["certificates"]) == ("signed", 1, 1)
    revoked, issuer = factory.chain("device1")
    assert serials(read(factory)) == {revoked.serial_number}
    assert read(factory).is_signature_valid(issuer.public_key())  # type: ignore[arg-type]  # an EC key, as ours are
    for device, code in (("device1", 2), ("device2", 0)):
        chain = factory.device(device) / "device.chain.pem"
        judged = subprocess.run(
            [
                *("openssl", "verify", "-x509_strict", "-crl_check", "-CAfile", factory.folder / "root.pem"),
                *("-untrusted", chain, "-CRLfile", factory.folder / "crl" / "line-a.crl.pem", chain),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        assert judged.returncode == code, judged.stderr


def test_a_delta_names_what_is_new_since_the_last_full_list(factory: Factory, clock: Clock) -> None:
    early = crl(factory, "--delta", "--apply")
    assert early.code == 2
    assert "a delta adds to a full list; make that first, without --delta" in early.err
    for device in ("device1", "device2", "device3"):
        assert factory.issue(device).code == 0
    assert factory.revoke("device1").code == 0
    assert crl(factory, "--apply", "--delta-url", "http://crl.example.com/a.delta.crl").code == 0
    assert factory.revoke("device2", reason="superseded").code == 0
    assert crl(factory, "--delta", "--apply").json["list"] == "delta to 1"
    assert factory.revoke("device3").code == 0
    assert crl(factory, "--delta", "--apply").json["number"] == 3
    delta = read(factory, "line-a.delta.crl")
    assert serials(delta) == {factory.chain(device)[0].serial_number for device in ("device2", "device3")}
    assert delta.extensions.get_extension_for_class(x509.DeltaCRLIndicator).value.crl_number == 1
    assert number(read(factory)) == 1, "the full list stands"
    assert crl(factory, "--apply").json["certificates"] == 3
    empty = crl(factory, "--delta").json
    assert (empty["list"], empty["number"], empty["certificates"]) == ("delta to 4", 5, 0)


def test_a_number_that_was_given_out_is_never_given_again(
    factory: Factory, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert crl(factory, "--apply").json["number"] == 1

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(issuing, "write_durably", full)
        assert crl(factory, "--apply").code == 1
    assert crl(factory, "--apply").json["number"] == 3, "number 2 was signed, whoever saw it"
    assert crl(factory, "--delta").json["list"] == "delta to 3", "a list that was not published is nobody's base"
    published = factory.home / "published"
    assert crl(factory, "--apply", "--out", published).json["number"] == 4
    shutil.rmtree(factory.folder / "crl" / "line-a")  # the factory is restored from a copy that is a day old
    assert crl(factory, "--apply", "--out", published).json["number"] == 5


def test_a_clock_that_went_back_makes_no_list(factory: Factory, clock: Clock) -> None:
    assert crl(factory, "--apply").code == 0
    clock.now -= timedelta(days=1)
    refused = crl(factory, "--apply")
    assert refused.code == 1
    assert "set this station's clock" in refused.err
    assert number(read(factory)) == 1


def test_two_who_want_a_number_at_once_get_one_each(tmp_path: Path) -> None:
    def take() -> None:
        for _ in range(20):
            with Shelf.held(tmp_path, "line-a") as shelf:
                last = shelf.last()
                shelf.reserve(numbered(1 if last is None else last.number + 1))

    threads = [threading.Thread(target=take) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with Shelf.held(tmp_path, "line-a") as shelf:
        last = shelf.last()
        assert last is not None
        assert last.number == 60


def numbered(number: int, **changes: object) -> Numbered:
    return Numbered.model_validate(
        {
            "number": number,
            "base": None,
            "this_update": NOW,
            "next_update": NOW + timedelta(days=7),
            "position": 0,
            **changes,
        },
        strict=False,
    )


def test_an_expired_certificate_leaves_the_list_once_a_full_one_named_it_after_its_end(tmp_path: Path) -> None:
    with Ledger.open(tmp_path, "dev", create=True) as ledger:
        for device, days in (("short", 1), ("long", 900), ("second", 1)):
            ledger.prepare(intent(device, timedelta(days=days)), at=NOW)
        ledger.revoke(DeviceId("short"), Reason.KEY_COMPROMISE, "", at=NOW)
        ledger.revoke(DeviceId("long"), Reason.UNSPECIFIED, "", at=NOW)
        position = position_of(ledger)

        def named(last_full: Numbered | None, base: Numbered | None = None) -> list[int]:
            scope = Scope(authority="line-a", base=base, last_full=last_full)
            return [entry.serial for entry in ended(ledger, scope, position_of(ledger))]

        assert named(None) == [5, 4], "an intent that was revoked before it was signed may have been signed"
        during = numbered(1, position=position)
        assert named(during) == [5, 4], "it has not been on a list after its end yet"
        after = numbered(2, position=position, this_update=NOW + timedelta(days=2))
        assert named(after) == [4], "and now it has"
        ledger.retire(DeviceId("second"), Reason.SUPERSEDED, "", at=NOW + timedelta(days=3))
        assert named(after) == [4, 6], "ended after its end, and on no list yet"
        assert named(after, base=after) == [6]
        assert [*ended(ledger, Scope(authority="line-b", base=None, last_full=None), 99)] == []


def intent(device: str, lasts: timedelta) -> Intent:
    return Intent(
        device=DeviceId(device),
        model="fl100",
        authority="line-a",
        key_hash=device.encode().hex().ljust(64, "0"),
        serial=len(device),
        not_before=NOW,
        not_after=NOW + lasts,
        to_be_signed=device.encode(),
    )


@pytest.mark.parametrize("words", ["", "the van was broken into", "since yesterday", "a: b"])
@pytest.mark.parametrize("since", [None, NOW])
@pytest.mark.parametrize("reason", Reason)
def test_what_is_noted_of_an_end_is_read_back(words: str, since: datetime | None, reason: Reason) -> None:
    told = with_since(words, since)
    assert read_note(f"{reason}: {told}" if told else reason.value) == (reason, since)


def test_the_roots_list_names_authorities_that_were_withdrawn(factory: Factory, clock: Clock) -> None:
    withdrawn = Withdrawn(
        name="line-a",
        issuer="root",
        serial="5f3a",
        at=NOW,
        not_after=NOW + timedelta(days=3650),
        reason=Reason.KEY_COMPROMISE,
        since=NOW - timedelta(days=30),
    )
    assert withdraw(factory.folder, withdrawn)
    assert not withdraw(factory.folder, replace_reason(withdrawn)), "the first record stands"
    assert list(read_withdrawn(factory.folder)) == [withdrawn]
    assert crl(factory, "--apply", authority="root").code == 0
    (entry,) = read(factory, "root.crl")
    assert entry.serial_number == 0x5F3A
    since = entry.extensions.get_extension_for_class(x509.InvalidityDate).value.invalidity_date_utc
    assert since == NOW - timedelta(days=30)
    assert crl(factory, "--apply").json["certificates"] == 0, "the line's own list says nothing of it"


def replace_reason(withdrawn: Withdrawn) -> Withdrawn:
    return withdrawn.model_copy(update={"reason": Reason.UNSPECIFIED})


def test_an_authority_that_nobody_knows_has_no_list(factory: Factory) -> None:
    refused = crl(factory, authority="line-z")
    assert refused.code == 2
    assert "stack dev has no authority 'line-z'; it has line-a, line-b, root" in refused.err
    assert crl(factory, "--delta", "--delta-url", "http://a").code == 2


def test_an_address_of_deltas_that_is_none_is_refused_before_a_list_is_numbered(factory: Factory) -> None:
    for url in (
        "not a url",
        "ht tp://é",
        "http://é.example/a",
        "http://a b/",
        "ftp://a/b",
        "http://",
        "http://[",
        "http://a:b/",
    ):
        refused = crl(factory, "--apply", "--delta-url", url)
        assert (refused.code, "--delta-url: " in refused.err) == (2, True), url
    assert crl(factory, "--apply", "--delta-url", "http://a.example/a.crl").json["number"] == 1


@contextmanager
def mosquitto(factory: Factory, folder: Path) -> Iterator[int]:
    """A broker that asks for certificates of the factory and reads its list; its port."""
    key = p256()
    subject = name(COMMON_NAME="localhost")
    now = datetime.now(UTC)
    server = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "server.pem").write_bytes(server.public_bytes(Encoding.PEM))
    (folder / "server.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    chain = (factory.folder / "root.pem").read_bytes() + (factory.authorities / "line-a.pem").read_bytes()
    (folder / "cas.pem").write_bytes(chain)
    lists = [(factory.folder / "crl" / f"{each}.crl.pem").read_bytes() for each in ("line-a", "root")]
    (folder / "lists.pem").write_bytes(b"".join(lists))
    for path in folder.iterdir():
        path.chmod(0o644)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    (folder / "mosquitto.conf").write_text(
        f"listener {port} 127.0.0.1\n"
        f"cafile {folder}/cas.pem\ncertfile {folder}/server.pem\nkeyfile {folder}/server.key\n"
        f"require_certificate true\nuse_identity_as_username true\ncrlfile {folder}/lists.pem\nuser root\n"
    )
    broker = subprocess.Popen(
        ["mosquitto", "-c", folder / "mosquitto.conf"],
        env={**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin"},
        stderr=subprocess.DEVNULL,
    )
    try:
        yield port
    finally:
        broker.terminate()
        broker.wait(timeout=10)


CONNECT = bytes.fromhex("101800044d5154540402003c000c") + b"crl-judge-01"


def answer(port: int, folder: Path, bundle: Path) -> bytes:
    """What the broker says to a device's CONNECT: a CONNACK, or nothing."""
    context = ssl.create_default_context(cafile=str(folder / "server.pem"))
    context.load_cert_chain(bundle / "device.chain.pem", bundle / "device.key.pem")
    for _ in range(100):
        try:
            plain = socket.create_connection(("127.0.0.1", port), timeout=5)
            break
        except ConnectionRefusedError:
            time.sleep(0.05)
    else:
        raise TimeoutError("mosquitto did not start")
    with plain:
        try:
            with context.wrap_socket(plain, server_hostname="localhost") as secure:
                secure.sendall(CONNECT)
                return secure.recv(4)
        except (ssl.SSLError, ConnectionError):
            return b""


@pytest.mark.judge
def test_mosquitto_takes_the_lists_and_refuses_who_is_on_them(factory: Factory, clock: Clock, tmp_path: Path) -> None:
    for device in ("device1", "device2"):
        assert factory.issue(device).code == 0
    assert factory.revoke("device1").code == 0
    for authority in ("line-a", "root"):
        assert crl(factory, "--apply", authority=authority).code == 0
    folder = tmp_path / "broker"
    folder.mkdir()
    with mosquitto(factory, folder) as port:
        assert answer(port, folder, factory.device("device2")) == b"\x20\x02\x00\x00", "a CONNACK that accepts"
        assert answer(port, folder, factory.device("device1")) == b""
