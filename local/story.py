"""The main job, told once from beginning to end: deploy, issue, connect, and see the data arrive.

Every step but the deployment is the command a person would type, run as they would run it, against the desk.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from local.aws_environment import aws_environment
from local.ceremony import ceremony_arguments
from local.deployment import Deployment
from local.lake import Arrived, read_lake, sent_measurements
from local.program import PROJECT_ROOT
from local.typed import shown, typed
from stacks.outputs import ClusterOutputs

STACK = "dev"
DEVICE = "device1"
MODEL = "fl100"
AUTHORITY = "line-a"
BATCHES, ROWS, SAMPLE_EVERY_SECONDS = 3, 20, 0.1
"""Enough to see batches, few enough for a story of a minute."""
ATTEMPTS = 8
"""A new identity is in after one or two; with eight the story ends within some minutes if something is broken."""
ARRIVAL_SECONDS = 60.0
"""Rule, Lambda and S3 take about a second here; the first start of a Lambda worker on a busy machine takes some."""
POLL_SECONDS = 0.2
COLUMNS = 116
"""How wide the steps' own tables are: a fingerprint of 64 characters fits in a line."""


class StoryError(Exception):
    """A step failed; the message is the step's own, and what to run to look closer."""


@dataclass(frozen=True)
class Ending:
    """What the story showed."""

    device: str
    cluster: str
    server_name: str
    objects: tuple[str, ...]
    sent: int
    found: int
    revoke: str
    """The command that takes the identity back."""


@dataclass(frozen=True)
class Teller:
    """How the story is told."""

    step: Callable[[str], None]
    command: Callable[[str], None]
    line: Callable[[str], None]


def tell(home: Path, deploy: Callable[[], Deployment], teller: Teller) -> Ending:
    """The whole story on the desk in `home`; `StoryError` at the first step that fails. Harmless when repeated."""
    teller.step("deploy the dev environment into an embedded AWS")
    deployment = deploy()
    teller.line(_deployed(deployment))
    factory, device, outputs = home / "factory", home / "devices" / DEVICE, home / "outputs.json"
    variables = os.environ | dict(aws_environment(deployment.record)) | {"COLUMNS": str(COLUMNS)}

    def run(*arguments: str) -> list[str]:
        return _run(arguments, variables, teller)

    teller.step("make the root and the issuing authorities")
    _told(
        teller,
        run(*ceremony_arguments(STACK, home)),
    )
    teller.step("deploy again: the authorities are registered in every cluster")
    deployment = deploy()
    teller.line(_deployed(deployment))

    teller.step(f"{DEVICE} makes its key; the factory issues its certificate")
    _told(teller, run("device", "key", "--device", DEVICE, "--out", shown(device)))
    _told(
        teller,
        run(
            *("provisioning", "issue", "--stack", STACK, "--device", DEVICE, "--model", MODEL),
            *("--authority", AUTHORITY, "--csr", shown(device / "device.csr.pem"), "--factory", shown(factory)),
            *("--authorities", shown(home / "authorities"), "--out", shown(device)),
            *("--trust-anchors", shown(home / "trust-anchors.pem")),
        ),
    )
    teller.step("the factory has a network now, and tells the clusters what it made")
    _told(
        teller,
        run("provisioning", "sync", "--stack", STACK, "--outputs", shown(outputs), "--factory", shown(factory)),
    )

    teller.step(f"{DEVICE} connects by its own name over mutual TLS, and delivers")
    record = deployment.record
    told = run(
        *("device", "run", "--bundle", shown(device), "--dns", record.dns, "--proxy", record.proxy),
        *("--batches", str(BATCHES), "--rows", str(ROWS), "--sample-every", str(SAMPLE_EVERY_SECONDS)),
        *("--attempts", str(ATTEMPTS), "--json"),
    )
    events = [json.loads(line) for line in told]
    _told(teller, [_event_line(event) for event in events])

    teller.step("the data has arrived")
    ending = _ending(deployment, events, variables)
    revoke = ("provisioning", "revoke", "--stack", STACK, "--device", DEVICE, "--reason", "cessation-of-operation")
    return replace(ending, revoke=typed(*revoke, "--factory", shown(factory), "--outputs", shown(outputs)))


def _deployed(deployment: Deployment) -> str:
    counts = ", ".join(f"{count} {action.value}" for action, count in sorted(deployment.counts.items()))
    return f"{len(deployment.outcomes)} resources in {len(deployment.record.cells)} regions: {counts}"


def _ending(deployment: Deployment, events: list[dict[str, Any]], variables: Mapping[str, str]) -> Ending:
    summary = events[-1]
    name, cluster = _cluster_of(deployment, str(summary["server_name"]))
    s3 = boto3.client(
        "s3",
        region_name=cluster.region,
        endpoint_url=variables["AWS_ENDPOINT_URL"],
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        config=Config(retries={"total_max_attempts": 1}),
    )
    sent = sent_measurements(events)
    deadline = time.monotonic() + ARRIVAL_SECONDS
    while True:
        arrived = read_lake(s3, cluster.lake_bucket, device=DEVICE, epoch=int(summary["epoch"]))
        if arrived.measurements == sent:
            break
        if time.monotonic() > deadline:
            raise StoryError(_difference(cluster.lake_bucket, len(sent), arrived))
        time.sleep(POLL_SECONDS)
    objects = tuple(f"s3://{cluster.lake_bucket}/{key}" for key in arrived.keys)
    return Ending(DEVICE, name, str(summary["server_name"]), objects, len(sent), len(arrived.measurements), "")


def _cluster_of(deployment: Deployment, server_name: str) -> tuple[str, ClusterOutputs]:
    for name, cluster in deployment.outputs.clusters.items():
        if cluster.server_name == server_name:
            return name, cluster
    raise StoryError(f"{DEVICE} connected to {server_name}, which is no cluster of this environment")


def _difference(bucket: str, sent: int, arrived: Arrived) -> str:
    return (
        f"{sent} measurements were acknowledged, but s3://{bucket} holds {len(arrived.measurements)} of them after "
        f"{ARRIVAL_SECONDS:.0f} s, or others; look into: python -m local logs"
    )


def _run(arguments: tuple[str, ...], variables: Mapping[str, str], teller: Teller) -> list[str]:
    """The lines a command of ours prints; its own message when it fails."""
    teller.command(typed(*arguments))
    finished = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=PROJECT_ROOT, env=variables, capture_output=True, text=True, check=False
    )
    if finished.returncode != 0:
        said = (finished.stderr.strip() or finished.stdout.strip()).splitlines()
        raise StoryError("\n".join([f"{' '.join(arguments[:2])} ended with exit code {finished.returncode}:", *said]))
    return finished.stdout.splitlines()


def _told(teller: Teller, lines: list[str]) -> None:
    for line in lines:
        teller.line(line)


def _event_line(event: dict[str, Any]) -> str:
    match event["event"]:
        case "resolved":
            return " -> ".join(event["chain"])
        case "trusted":
            return f"the server is trusted, {event['tls']}"
        case "connected":
            return f"connected to {event['server_name']}"
        case "failed":
            cause = "failed" if event["was_ever_admitted"] else "refused, while the registrar admits it"
            return f"{cause} ({event['reason']}); again in {event['retry_in_seconds']} s"
        case "acknowledged":
            return f"acknowledged: {event['measurements']} measurements in {event['bytes']} bytes"
        case _:
            return f"{event['batches']} batches delivered"
