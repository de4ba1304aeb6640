"""A factory on the disk of a test, driven by the commands a person would type."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from typer.testing import CliRunner

from provisioning.cli import app

ROOT = Path(__file__).resolve().parents[2]

CEREMONY = """\
environment: dev
root: { common_name: Test Root CA, organization: Test Fleet, key: file, lifetime_years: 30 }
models:
  fl100: { lifetime_years: 15 }
  fl50: { key_made: factory, lifetime_years: 15 }
lines:
  bench-a: { authority: line-a, models: [fl100, fl50] }
authorities:
  line-a: { common_name: Flotilla Dev Line A Issuing CA, key: file, lifetime_years: 20, path_length: 0 }
"""
"""Of the authorities in stack dev, the one whose key is a file."""


@dataclass(frozen=True)
class Finished:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The document on standard output."""
        return json.loads(self.out)


def provisioning(*arguments: str | Path, variables: Mapping[str, str] | None = None) -> Finished:
    """Run a command of `python -m provisioning` in this process; the machine's own AWS settings stay out."""
    others = {name: None for name in os.environ if name.startswith(("AWS_", "FLOTILLA_"))}
    result = CliRunner().invoke(
        app,
        [str(argument) for argument in arguments],
        prog_name="python -m provisioning",
        env={**others, "AWS_EC2_METADATA_DISABLED": "true", **(variables or {})},
    )
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return Finished(result.exit_code, result.stdout, result.stderr)


@dataclass(frozen=True)
class Factory:
    """Its folders."""

    home: Path

    @property
    def folder(self) -> Path:
        return self.home / "factory"

    @property
    def authorities(self) -> Path:
        return self.home / "authorities"

    def device(self, name: str) -> Path:
        return self.home / "devices" / name

    def ceremony(self, text: str = CEREMONY, *more: str | Path, variables: Mapping[str, str] | None = None) -> Finished:
        file = self.home / "ceremony.yaml"
        file.write_text(text, encoding="utf-8")
        return provisioning(
            *("ceremony", file, "--factory", self.folder, "--out", self.authorities, "--json", *more),
            variables=variables,
        )

    def order(self, device: str, *how: str | Path, model: str = "fl50", authority: str = "line-a") -> list[str | Path]:
        """The arguments of `issue`."""
        return [
            *("issue", "--stack", "dev", "--device", device, "--model", model, "--authority", authority),
            *("--factory", self.folder, "--authorities", self.authorities, "--out", self.device(device), "--json"),
            *how,
        ]

    def issue(self, device: str, *how: str | Path, **named: str) -> Finished:
        return provisioning(*self.order(device, *(how or ("--generate-key",)), **named))

    def revoke(
        self, device: str, *more: str | Path, reason: str = "unspecified", variables: Mapping[str, str] | None = None
    ) -> Finished:
        return provisioning(
            *("revoke", "--stack", "dev", "--device", device, "--reason", reason),
            *("--factory", self.folder, "--json", *more),
            variables=variables,
        )

    def ledger(self, *arguments: str) -> Finished:
        return provisioning("ledger", *arguments, "--stack", "dev", "--factory", self.folder, "--json")

    def chain(self, device: str) -> list[x509.Certificate]:
        """What the device would show: its own certificate, then its issuer's."""
        return x509.load_pem_x509_certificates((self.device(device) / "device.chain.pem").read_bytes())
