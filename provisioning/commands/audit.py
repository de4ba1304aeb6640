"""`python -m provisioning audit`: prove a ledger, or say what is wrong with it."""

import hashlib
import json
import os
import secrets
import time
from pathlib import Path
from typing import Annotated

import typer
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from provisioning.algorithm import PublicKey, public_key_der
from provisioning.audit.audit import SAMPLED_SHARE, SMALL_ENTRIES, Question, Report, certificates_in
from provisioning.audit.audit import audit as audit_ledger
from provisioning.audit.segment import Sample
from provisioning.commands.options import AsJson, Factory, Profiles, Stack, now
from provisioning.commands.progress import reached
from provisioning.commands.telling import FAILED, errors_told, tell, tell_error
from provisioning.errors import RefusedError
from provisioning.ledger.times import from_microseconds
from provisioning.read_factory import factory_of
from stacks.environment import AuthorityKey
from stacks.load import AUTHORITIES

_SHOWN = 100
"""Findings for people; --json has all."""


def audit(
    *,
    stack: Stack,
    factory: Factory,
    authorities: Annotated[
        Path | None, typer.Option(help="Certificates of the authorities; default stacks/authorities/<stack>.")
    ] = None,
    station: Annotated[
        list[Path] | None,
        typer.Option(help="A station's public key or certificate (PEM) that you trust; once each. Default: any key."),
    ] = None,
    deep: Annotated[
        bool,
        typer.Option(
            "--deep", help="Verify the signature of every certificate of a large ledger too, not of a random sample."
        ),
    ] = False,
    profiles: Profiles = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes.")] = os.cpu_count() or 1,
    as_json: AsJson = False,
) -> None:
    """Prove chain, seals, certificates and counts; exit 1 with every finding named. It only reads."""
    with errors_told():
        plan, environment = factory_of(stack, profiles)
        share = 1 if deep else SAMPLED_SHARE
        question = Question(
            factory=factory,
            environment=environment.name,
            certificates=certificates_in(authorities or AUTHORITIES / stack),
            vendors=frozenset(
                name for name, each in environment.authorities.items() if each.key is AuthorityKey.VENDOR
            ),
            stations=frozenset(_station_key(path) for path in station or ()),
            sample=Sample(share=share, offset=secrets.randbelow(share)),
            now=now(),
            leases={name: each.lease for name, each in plan.stations.items()},
            whole_up_to=SMALL_ENTRIES,
        )
        started = time.monotonic()
        with reached("auditing entries") as progress:
            report = audit_ledger(question, jobs=jobs, progress=progress)
        seconds = time.monotonic() - started
    _tell(report, seconds, as_json=as_json)
    if report.findings:
        raise typer.Exit(FAILED)


def _tell(report: Report, seconds: float, *, as_json: bool) -> None:
    if as_json:
        findings = [finding.as_json() for finding in report.findings]
        typer.echo(json.dumps({**_facts(report, seconds), "findings": findings}))
        return
    facts = _facts(report, seconds)
    tell({**facts, "stations": " ".join(sorted(map(_digest, report.sealed.stations)))}, as_json=False)
    for finding in report.findings[:_SHOWN]:
        tell_error(RefusedError(f"{finding.kind}: {finding.text}"))
    if len(report.findings) > _SHOWN:
        tell_error(RefusedError(f"{len(report.findings)} findings in all; --json names every one"))


def _facts(report: Report, seconds: float) -> dict[str, object]:
    last = report.sealed.last
    return {
        "identities": report.identities,
        "entries": report.entries,
        "head": report.head.hash.hex(),
        "seals": report.sealed.seals,
        "sealed_until": None if last is None else from_microseconds(last.at).isoformat(),
        "stations": sorted(_digest(key) for key in report.sealed.stations),
        "unsealed_entries": report.unsealed,
        "proven": "every entry, every certificate byte for byte, " + _signatures(report),
        "verified_signatures": report.verified,
        "seconds": round(seconds, 2),
        "identities_per_second": round(report.identities / seconds) if seconds else 0,
        "found": len(report.findings),
    }


def _signatures(report: Report) -> str:
    if report.is_deep:
        return "every signature"
    if report.without:
        return f"{report.verified} signatures, and none of {', '.join(report.without)}, without their certificates"
    return f"{report.verified} signatures drawn at random (--deep: all)"


def _station_key(path: Path) -> bytes:
    """The public key in a file, by itself or in a certificate."""
    try:
        pem = path.read_bytes()
        key = x509.load_pem_x509_certificate(pem).public_key() if b"CERTIFICATE" in pem else load_pem_public_key(pem)
    except (OSError, ValueError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise RefusedError(
            f"--station: {path} is no public key and no certificate in PEM ({error}); give the station.pub.pem that "
            f"the station made on its first day"
        ) from error
    if not isinstance(key, PublicKey):
        raise RefusedError(f"--station: {path} holds a key of a type that no station has; give its station.pub.pem")
    return public_key_der(key)


def _digest(key: bytes) -> str:
    return hashlib.sha256(key).hexdigest()
