"""Options that several commands share."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from provisioning.errors import RefusedError
from provisioning.registry.enrol import PolicyBy
from stacks.outputs import Outputs, read_outputs

Stack = Annotated[str, typer.Option(help="The environment: dev, staging, production.")]
Factory = Annotated[Path, typer.Option(help="The folder of the ledger, the root and keys in files.")]
OutputsFile = Annotated[
    Path | None, typer.Option("--outputs", help="What the deployment gave: pulumi stack output --json.")
]
Profiles = Annotated[
    Path | None, typer.Option("--profiles", help="The factory file; default stacks/factories/<stack>.yaml.")
]
Authorities = Annotated[
    Path | None, typer.Option(help="Certificates of the authorities; default stacks/authorities/<stack>.")
]
Clusters = Annotated[Path, typer.Option("--outputs", help="What the deployment gave: pulumi stack output --json.")]
TrustAnchors = Annotated[
    Path | None, typer.Option(help="Roots the device accepts for servers; default Amazon Trust Services.")
]
PolicyWay = Annotated[PolicyBy, typer.Option(help="How a device that is registered ahead gets its policy.")]
Rates = Annotated[list[str] | None, typer.Option(help="Another quota of this account, as RegisterCertificate=50.")]
Device = Annotated[str, typer.Option(help="The device id: its name in DNS, MQTT and its certificate.")]
AsJson = Annotated[bool, typer.Option("--json", help="For machines: one JSON document on standard output.")]


def now() -> datetime:
    """The station's clock, in UTC."""
    return datetime.now(UTC)


def moment(option: str, text: str | None) -> datetime | None:
    """The past moment that an option says, in UTC; None when nobody said one."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise RefusedError(f"{option}: {text!r} is no moment; write one such as 2026-11-20T08:00:00Z") from error
    if found.tzinfo is None:
        raise RefusedError(f"{option}: {text!r} says no time zone; write Z at its end for UTC")
    if found > now():
        raise RefusedError(f"{option}: {text} is yet to come; write when it was")
    return found.astimezone(UTC)


def outputs_of(stack: str, path: Path) -> Outputs:
    """The outputs in `path`, which must be of this stack."""
    outputs = read_outputs(path)
    if outputs.environment != stack:
        raise RefusedError(
            f"{path}: is of environment {outputs.environment}, not of {stack}; give the outputs of {stack}"
        )
    return outputs
