"""Where faults strike: copies of one factory, and the calls of a sound run, counted."""

import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.faults.warm import Order, WarmStation
from tests.power import CALLS, parsed
from tests.provisioning.factory import Factory, Finished
from tests.provisioning.requests import csr, p256


@dataclass(frozen=True)
class Point:
    """The nth call of its kind in a command, and what it was about."""

    call: str
    number: int
    about: str


@dataclass
class Bench:
    """Copies of a factory, one a case."""

    station: WarmStation
    opened: Factory
    home: Path
    _used: int = 0

    def factory(self) -> Factory:
        """A fresh copy."""
        self._used += 1
        home = self.home / str(self._used)
        shutil.copytree(self.opened.home, home)
        return Factory(home)

    def order(self, factory: Factory, *, is_key_generated: bool, device: str = "device1") -> list[str | Path]:
        """The arguments of an issuance."""
        if is_key_generated:
            return factory.order(device, "--generate-key")
        request = factory.home / "device.csr.pem"
        if not request.exists():
            request.write_bytes(csr(p256()))
        return factory.order(device, "--csr", request)

    def run(
        self, factory: Factory, order: list[str | Path], *, strace: tuple[str, ...] = (), variant: str = "sound"
    ) -> Finished:
        out, err = factory.home / "out", factory.home / "err"
        return self.station.run(Order(arguments=order, out=out, err=err, strace=strace, variant=variant))

    def points(self, *, is_key_generated: bool) -> list[Point]:
        """Every call of a sound issuance that changes the disk below the factory, or tells something."""
        factory = self.factory()
        trace = factory.home.with_suffix(".trace")
        ran = self.run(
            factory,
            self.order(factory, is_key_generated=is_key_generated),
            strace=("-o", str(trace), "-y", "-e", f"trace={CALLS}"),
        )
        assert ran.code == 0, ran.err
        counted: Counter[str] = Counter()
        found = []
        for call in parsed(trace):
            counted[call.name] += 1
            is_ours = call.is_told or any(path.is_relative_to(factory.home) for path in call.paths)
            if is_ours and (call.creates or call.name != "openat"):
                about = "the answer" if call.is_told else str(call.paths[0].relative_to(factory.home))
                found.append(Point(call.name, counted[call.name], about))
        return found
