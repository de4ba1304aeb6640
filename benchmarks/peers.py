"""Other programs that issue certificates, beside ours: how many a second each makes of the same P-256 requests.

Each is driven the fastest way its manual has for many requests, on this machine, one after the other, and by the clock
on the wall. Every certificate is counted by reading it; one that is missing ends the run. The services keep what they
issue as they are set up here (in memory); OpenBao's durable storage is slower.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trustme
from cryptography import x509

from benchmarks.measure import Clock, Result, compared

SERVED = 200
"""Requests to a program that answers many: a second or so."""
ONE_BY_ONE = 20
"""Requests to a program that is started for each."""
READY_SECONDS = 20
"""How long a service may take to be ready on a busy machine."""
DAYS = 365

_CA_CONFIGURATION = """\
[ca]
default_ca = line
[line]
dir = {folder}
new_certs_dir = $dir/issued
database = $dir/index.txt
rand_serial = yes
certificate = $dir/ca.pem
private_key = $dir/ca.key.pem
default_md = sha256
default_days = {days}
policy = policy
x509_extensions = device
unique_subject = no
[policy]
commonName = supplied
[device]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""
_CERTTOOL_TEMPLATE = "expiration_days = {days}\ntls_www_client\nsigning_key\n"
_CFSSL_CONFIGURATION = {
    "signing": {"default": {"expiry": f"{DAYS * 24}h", "usages": ["digital signature", "client auth"]}}
}


@dataclass(frozen=True)
class Line:
    """What every program gets: an authority with its key in files, and requests in PEM."""

    folder: Path
    """Holds `ca.pem` and `ca.key.pem`."""
    requests: Sequence[bytes]


@dataclass(frozen=True, kw_only=True)
class Ours:
    """Our own certificates a second, by the same clock."""

    from_requests: float
    generated: float


def results(line: Line, ours: Ours, clock: Clock) -> Iterator[Result]:
    """A row a program; the ratio is what of our rate for the same work it reaches."""
    unit, requests, generated = "certificates/s", "ours from requests, on the wall", "ours with new keys, on the wall"
    yield compared("peers: ours, requests", ours.from_requests, unit, limit=ours.from_requests, against=requests)
    for name, made in SIGNING.items():
        yield compared(f"peers: {name}", made(line, clock), unit, limit=ours.from_requests, against=requests)
    yield compared("peers: ours, new keys", ours.generated, unit, limit=ours.generated, against=generated)
    yield compared("peers: trustme, new keys", trustme_(clock), unit, limit=ours.generated, against=generated)


def openssl_ca(line: Line, clock: Clock) -> float:
    """`openssl ca -batch` with all requests at once; its database is a text file."""
    issued = line.folder / "issued"
    issued.mkdir()
    (line.folder / "index.txt").touch()
    configuration = line.folder / "ca.cnf"
    configuration.write_text(_CA_CONFIGURATION.format(folder=line.folder, days=DAYS), encoding="ascii")
    requests = _files(line, SERVED)
    started = clock()
    _run("openssl", "ca", "-batch", "-notext", "-config", str(configuration), "-infiles", *requests)
    return counted_rate(SERVED, [path.read_bytes() for path in issued.glob("*.pem")], clock() - started)


def certtool(line: Line, clock: Clock) -> float:
    """GnuTLS: a process for each certificate."""
    template = line.folder / "certtool.cfg"
    template.write_text(_CERTTOOL_TEMPLATE.format(days=DAYS), encoding="ascii")
    authority = [
        "--load-ca-certificate",
        str(line.folder / "ca.pem"),
        "--load-ca-privkey",
        str(line.folder / "ca.key.pem"),
    ]
    command = ["certtool", "--generate-certificate", *authority, "--template", str(template), "--load-request"]
    return _one_by_one(line, clock, lambda request: _run(*command, request))


def cfssl(line: Line, clock: Clock) -> float:
    """Cloudflare's tool: a process for each certificate."""
    command = ["cfssl", "sign", *_cfssl_authority(line)]
    return _one_by_one(line, clock, lambda request: json.loads(_run(*command, request))["cert"].encode())


def cfssl_serve(line: Line, clock: Clock) -> float:
    """The same as a service on loopback, a request for each certificate."""
    port = _free_port()
    command = ["cfssl", "serve", "-address", "127.0.0.1", "-port", str(port), *_cfssl_authority(line)]
    with _service(command, f"http://127.0.0.1:{port}/api/v1/cfssl/health", {}):

        def sign(request: bytes) -> bytes:
            answer = _post(f"http://127.0.0.1:{port}/api/v1/cfssl/sign", {"certificate_request": request.decode()}, {})
            return str(answer["result"]["certificate"]).encode()

        return _served(line, clock, sign)


def openbao(line: Line, clock: Clock) -> float:
    """OpenBao's PKI engine as a service on loopback, in memory, a request for each certificate."""
    port, token = _free_port(), "benchmark"
    command = [str(Path(sys.executable).parent / "bao"), "server", "-dev", f"-dev-listen-address=127.0.0.1:{port}"]
    url, headers = f"http://127.0.0.1:{port}/v1", {"X-Vault-Token": token}
    with _service([*command, f"-dev-root-token-id={token}", "-dev-no-store-token"], f"{url}/sys/health", headers):
        bundle = (line.folder / "ca.pem").read_text() + (line.folder / "ca.key.pem").read_text()
        _post(f"{url}/sys/mounts/pki", {"type": "pki", "config": {"max_lease_ttl": f"{DAYS * 24}h"}}, headers)
        _post(f"{url}/pki/config/ca", {"pem_bundle": bundle}, headers)
        role = {"allow_any_name": True, "enforce_hostnames": False, "key_type": "ec", "server_flag": False}
        _post(f"{url}/pki/roles/device", {**role, "ttl": "24h", "key_usage": ["DigitalSignature"]}, headers)

        def sign(request: bytes) -> bytes:
            answer = _post(f"{url}/pki/sign/device", {"csr": request.decode(), "common_name": "device"}, headers)
            return str(answer["data"]["certificate"]).encode()

        return _served(line, clock, sign)


def trustme_(clock: Clock) -> float:
    """Python, for tests: it makes key and certificate, and takes no request."""
    authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
    started = clock()
    made = [
        authority.issue_cert(common_name=f"device{index}", key_type=trustme.KeyType.ECDSA).cert_chain_pems[0].bytes()
        for index in range(SERVED)
    ]
    return counted_rate(SERVED, made, clock() - started)


SIGNING: dict[str, Callable[[Line, Clock], float]] = {
    "openssl ca": openssl_ca,
    "cfssl serve": cfssl_serve,
    "OpenBao": openbao,
    "certtool": certtool,
    "cfssl": cfssl,
}


def _cfssl_authority(line: Line) -> list[str]:
    configuration = line.folder / "cfssl.json"
    configuration.write_text(json.dumps(_CFSSL_CONFIGURATION), encoding="ascii")
    authority = ["-ca", str(line.folder / "ca.pem"), "-ca-key", str(line.folder / "ca.key.pem")]
    return [*authority, "-config", str(configuration)]


def _one_by_one(line: Line, clock: Clock, issue: Callable[[str], bytes]) -> float:
    requests = _files(line, ONE_BY_ONE)
    started = clock()
    made = [issue(request) for request in requests]
    return counted_rate(ONE_BY_ONE, made, clock() - started)


def _served(line: Line, clock: Clock, sign: Callable[[bytes], bytes]) -> float:
    started = clock()
    made = [sign(request) for request in line.requests[:SERVED]]
    return counted_rate(SERVED, made, clock() - started)


def counted_rate(wanted: int, made: Sequence[bytes], seconds: float) -> float:
    """Certificates a second, once each of them has been read; `ValueError` when one is missing or came twice."""
    different = {x509.load_pem_x509_certificate(pem).serial_number for pem in made}
    if len(different) != wanted:
        raise ValueError(f"{len(different)} certificates were made of {wanted} requests")
    return wanted / seconds


def _files(line: Line, count: int) -> list[str]:
    paths = [line.folder / f"{index}.csr.pem" for index in range(count)]
    for path, request in zip(paths, line.requests, strict=False):
        path.write_bytes(request)
    return [str(path) for path in paths]


def _run(*command: str) -> bytes:
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        raise ValueError(f"{command[0]} failed: {done.stderr.decode(errors='replace').strip()[-500:]}")
    return done.stdout


@contextmanager
def _service(command: Sequence[str], health: str, headers: dict[str, str]) -> Iterator[None]:
    """A service of ours alone, ready to answer; ended afterwards."""
    with tempfile.TemporaryDirectory() as home, (Path(home) / "log").open("wb") as log:
        environment = {"HOME": home, "PATH": os.environ["PATH"]}
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=home)
        try:
            _await(process, health, headers, Path(home) / "log")
            yield
        finally:
            process.terminate()
            process.wait(timeout=READY_SECONDS)


def _await(process: "subprocess.Popen[bytes]", url: str, headers: dict[str, str], log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=1):  # noqa: S310  # ours
                return
        except urllib.error.HTTPError:
            return  # it answers
        except OSError:
            time.sleep(0.1)
    raise ValueError(f"{process.args!r} is not ready: {log.read_text(errors='replace')[-500:]}")


def _post(url: str, body: dict[str, Any], headers: dict[str, str]) -> dict[str, Any]:
    request = urllib.request.Request(  # noqa: S310  # a service of ours on loopback
        url, data=json.dumps(body).encode(), headers={"Content-Type": "application/json", **headers}
    )
    with urllib.request.urlopen(request, timeout=READY_SECONDS) as answer:  # noqa: S310  # the same
        text = answer.read()
    return dict(json.loads(text)) if text else {}


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
