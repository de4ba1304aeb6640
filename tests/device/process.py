"""`python -m device run` as a person starts it, and what it tells."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from device.resolution import HostPort

ROOT = Path(__file__).resolve().parents[2]
END_SECONDS = 30


@dataclass
class DeviceProcess:
    """One start of a device. `before`: what it is started through, such as strace."""

    folder: Path
    resolver: HostPort
    proxy: HostPort
    told: Path
    options: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    running: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        command = (
            *(*self.before, sys.executable, "-m", "device", "run", "--bundle", str(self.folder), "--json"),
            *("--dns", f"{self.resolver.host}:{self.resolver.port}"),
            *("--proxy", f"{self.proxy.host}:{self.proxy.port}", *self.options),
        )
        with self.told.open("ab") as told:
            self.running = subprocess.Popen(command, cwd=ROOT, stdout=told, stderr=told, env=dict(os.environ))

    def events(self, name: str = "") -> list[dict[str, Any]]:
        """What it has told so far; a line that a kill cut off is none."""
        lines = self.told.read_text(encoding="utf-8").splitlines() if self.told.exists() else []
        whole = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]
        return [event for event in whole if name in {"", event["event"]}]

    def kill(self) -> None:
        self.running.kill()
        self.running.wait(END_SECONDS)

    def stop(self) -> None:
        self.running.terminate()
        self.running.wait(END_SECONDS)
