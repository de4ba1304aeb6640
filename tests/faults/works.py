"""What faults strike: whole commands, what each is about, and the rules it must keep."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tests.faults.judge import broken_rules
from tests.faults.judge import unconverged as unconverged_by
from tests.faults.judge_batch import Ordered, broken_batch
from tests.provisioning.batches import arguments, request, write
from tests.provisioning.factory import Factory, Finished
from tests.provisioning.requests import csr, p256

Broken = Callable[[Factory, Iterable[Finished], datetime | None], list[str]]


@dataclass(frozen=True, kw_only=True)
class Work:
    """A command on a factory: the same arguments however often it is asked for."""

    name: str
    devices: tuple[str, ...]
    order: Callable[[Factory], list[str | Path]]
    broken_by: Broken
    is_first: bool = False
    """Whether no ledger is there yet."""

    def broken(self, factory: Factory, finished: Iterable[Finished], *, now: datetime | None = None) -> list[str]:
        """The rules that what it did breaks, before any rerun."""
        return self.broken_by(factory, finished, now)

    def unconverged(self, factory: Factory) -> list[str]:
        """What a rerun, and one after it, leave to be wished for."""
        return unconverged_by(
            factory,
            self.order(factory),
            devices=self.devices,
            broken_by=lambda ran: self.broken(factory, [ran]),
        )


def issuance(device: str = "device1", *, has_request: bool = False, is_first: bool = False) -> Work:
    """`issue` of one device, with its request or with a key made here."""

    def order(factory: Factory) -> list[str | Path]:
        if not has_request:
            return factory.order(device, "--generate-key")
        path = factory.home / f"{device}.csr.pem"
        if not path.exists():
            path.write_bytes(csr(p256()))
        return factory.order(device, "--csr", path)

    return Work(
        name=f"{'a request' if has_request else 'a key made here'}{', first of all' if is_first else ''}",
        devices=(device,),
        order=order,
        broken_by=lambda factory, finished, now: broken_rules(factory, finished, device=device, now=now),
        is_first=is_first,
    )


BATCH = ("bat1", "bat2", "bat3")
"""The first has a request; the factory makes the keys of the others."""


def batch(*, has_bundles: bool) -> Work:
    """`batch` of three devices, with a bundle each or with one table of keys."""
    ordered = Ordered(
        table="order.csv",
        out="batch",
        devices=BATCH,
        keys_made=() if has_bundles else BATCH[1:],
        has_bundles=has_bundles,
    )

    def order(factory: Factory) -> list[str | Path]:
        table = factory.home / ordered.table
        if not table.exists():
            write(table, [{"device": device, "csr": request() if device == BATCH[0] else ""} for device in BATCH])
        more = ["--jobs", "1", *(["--bundles"] if has_bundles else [])]
        return arguments(factory, table, factory.home / ordered.out, *more)

    return Work(
        name="a batch with bundles" if has_bundles else "a batch with a table of keys",
        devices=BATCH,
        order=order,
        broken_by=lambda factory, finished, now: broken_batch(factory, finished, ordered, now=now),
    )


ISSUANCES = (issuance(), issuance(has_request=True))
FIRST_OF_ALL = issuance(is_first=True)
BATCHES = (batch(has_bundles=True), batch(has_bundles=False))
