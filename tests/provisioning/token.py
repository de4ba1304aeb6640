"""A hardware security module as SoftHSM2 imitates one, in a folder of the tests."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pkcs11

from provisioning.hsm import HSM_FILE, Hsm

MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")
PIN = "987654"


@dataclass(frozen=True)
class SoftToken:
    """One token; every process that is to see it needs `variables`."""

    home: Path
    label: str = "flotilla-test"

    @property
    def variables(self) -> dict[str, str]:
        return {"SOFTHSM2_CONF": str(self.home / "softhsm2.conf")}

    @property
    def hsm(self) -> Hsm:
        return Hsm(module=MODULE, token=self.label, pin=lambda: PIN)

    @property
    def pin_file(self) -> Path:
        return self.home / "pin"

    def initialise(self) -> None:
        (self.home / "tokens").mkdir(parents=True)
        (self.home / "softhsm2.conf").write_text(
            f"directories.tokendir = {self.home / 'tokens'}\nobjectstore.backend = file\nlog.level = ERROR\n"
        )
        self.pin_file.touch(mode=0o600)
        self.pin_file.write_text(PIN + "\n")
        subprocess.run(
            ["softhsm2-util", "--init-token", "--free", "--label", self.label, "--so-pin", "12345678", "--pin", PIN],
            env={**os.environ, **self.variables},
            check=True,
            capture_output=True,
        )

    def describe(self, factory: Path) -> None:
        """What a station's `hsm.yaml` says of it."""
        (factory / HSM_FILE).write_text(f"module: {MODULE}\ntoken: {self.label}\npin_file: {self.pin_file}\n")

    def forget(self) -> None:
        """As if the token were pulled and put back: every session and login of this process is gone."""
        pkcs11.lib(str(MODULE)).reinitialize()
