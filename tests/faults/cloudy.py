"""A factory whose cloud answers badly: what a fault strikes, and what must be so after it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from botocore.config import Config

import provisioning.cloud
import provisioning.manifest
import provisioning.registry.calls
from local.deployment import Deployment
from tests.faults.faulty_proxy import FaultyProxy, Spoil, faulty_proxy
from tests.faults.judge import audited, leaks, rows
from tests.provisioning.connected import Connected
from tests.provisioning.factory import Factory, Finished
from tests.provisioning.factory import provisioning as command
from tests.provisioning.registry.test_eager import FAST

PATIENCE_SECONDS = 0.5
"""In place of 15 s and 30 s; as many attempts as ever."""
ALWAYS = 1_000
ATTEMPTS = (1, 2, ALWAYS)
"""The first answer is spoilt; the first two; all of them, to the last."""


def in_turn(calls: Sequence[str]) -> list[tuple[str, Spoil, int]]:
    """Every call with every way to spoil its answer; first, second and last attempt take turns."""
    return [
        (call, spoil, ATTEMPTS[(row + column) % len(ATTEMPTS)])
        for row, call in enumerate(calls)
        for column, spoil in enumerate(Spoil)
    ]


@dataclass(frozen=True)
class Cloudy:
    """A factory, its desk, and the proxy between them."""

    connected: Connected
    proxy: FaultyProxy

    @property
    def factory(self) -> Factory:
        return self.connected.factory

    @property
    def region(self) -> str:
        return self.connected.desk.outputs.clusters["eu1"].region

    @property
    def variables(self) -> dict[str, str]:
        return {**self.connected.variables, "AWS_ENDPOINT_URL": self.proxy.address}

    def issued(self, prefix: str = "cloudy") -> str:
        """A device whose name no other test has."""
        device = f"{prefix}-{abs(hash(self.factory.home)):x}"
        assert self.factory.issue(device).code == 0
        return device

    def sync(self, *more: str) -> Finished:
        return self.connected.sync(*more, variables=self.variables)

    def eager(self, by: str = "certificate") -> Finished:
        more = ("--authorities", str(self.factory.authorities), "--policy-by", by, *FAST)
        return self.sync("--eager", *more)

    def reconcile(self, *more: str) -> Finished:
        return command(
            *("reconcile", "--stack", "dev", "--outputs", self.connected.outputs, "--factory", self.factory.folder),
            *("--authorities", self.factory.authorities, "--deep", "--json"),
            *(*FAST, *more),
            variables=self.variables,
        )

    def struck(
        self, call: str, spoil: Spoil, attempts: int, run: Callable[[], Finished], *, region: str = ""
    ) -> Finished:
        """What a command does whose answers to a call are spoilt."""
        self.proxy.arm(call, region or self.region, spoil, attempts)
        ran = run()
        assert self.proxy.spoilt == min(attempts, self.proxy.spoilt) > 0, f"{call} was not called: {self.proxy.seen}"
        if spoil is not Spoil.GARBLED:
            expected = 1 if attempts == ALWAYS else 0
            assert ran.code == expected, f"attempts decide, and it ended with {ran.code}: {ran.err}"
        return ran

    def certificates(self) -> dict[str, str]:
        """Fingerprint to status of what eu1 has registered, whoever did."""
        iot = self.connected.client("iot", self.region)
        return {each["certificateId"]: each["status"] for each in iot.list_certificates(pageSize=250)["certificates"]}

    def manifest(self) -> set[str]:
        """Fingerprints in eu1's manifest."""
        cluster = self.connected.desk.outputs.clusters["eu1"]
        pages = self.connected.client("dynamodb", self.region).get_paginator("scan")
        found = pages.paginate(TableName=cluster.manifest_table)
        return {item["fingerprint"]["S"] for page in found for item in page["Items"]}

    def held(self) -> set[str]:
        """Every fingerprint that eu1 has heard of."""
        return self.manifest() | set(self.certificates())

    def broken(self, ran: Finished, before: set[str]) -> Iterator[str]:
        """What must not be, after a fault. `before`: what the cloud held before the factory began."""
        if "Traceback" in ran.err:
            yield f"a traceback: {ran.err}"
        if ran.code not in (0, 1):
            yield f"exit code {ran.code}: {ran.err}"
        if ran.code and not any(row.device in ran.err for row in rows(self.factory)):
            yield f"a failure that names no device: {ran.err}"
        if strangers := self.held() - before - {row.fingerprint for row in rows(self.factory)}:
            yield f"in the cloud, and not in the ledger: {strangers}"
        yield from leaks(self.factory, [ran])

    def unconverged(self, run: Callable[[], Finished]) -> Iterator[str]:
        """What a rerun without a fault leaves to be wished for, and one after it."""
        self.proxy.rest()
        rerun = run()
        if rerun.code:
            yield f"the rerun ends with {rerun.code}: {rerun.err}"
        self.proxy.rest()
        third = run()
        if third.code or self.proxy.seen:
            yield f"a third run ends with {third.code} and calls {self.proxy.seen}"
        yield from audited(self.factory)


@contextmanager
def clouded(factory: Factory, desk: Deployment, monkeypatch: pytest.MonkeyPatch, spoil: Spoil) -> Iterator[Cloudy]:
    """The factory behind a proxy. Every wait is shortened; no number of attempts is changed."""
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda _self, _context: 0.001)
    monkeypatch.setattr(provisioning.manifest, "LONGEST_WAIT_SECONDS", 0.001)
    monkeypatch.setattr(provisioning.registry.calls, "FIRST_WAIT_SECONDS", 0.001)
    monkeypatch.setattr(provisioning.registry.calls, "LONGEST_WAIT_SECONDS", 0.001)
    if spoil is Spoil.SLOW:
        for name in ("CONFIG", "ONCE"):
            patient: Config = getattr(provisioning.cloud, name)
            monkeypatch.setattr(provisioning.cloud, name, patient.merge(Config(read_timeout=PATIENCE_SECONDS)))
    connected = Connected(factory, desk)
    with faulty_proxy(connected.variables["AWS_ENDPOINT_URL"]) as proxy:
        yield Cloudy(connected, proxy)
