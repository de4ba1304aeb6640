"""From a stack file to an `Environment`: read, parse, judge, and say everything that is wrong at once."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from stacks.ca_certificates import find_ca_certificates
from stacks.document import Document, KeyPath, read_document, spell
from stacks.environment import Environment
from stacks.errors import Problem, StackError
from stacks.explain import explain, place, unknown_key
from stacks.regions import iot_regions
from stacks.rules.judge import judge
from stacks.sound_values import sound_values

__all__ = ["AUTHORITIES", "STACKS", "available_stacks", "find_ca_certificates", "load_environment"]

STACKS = Path(__file__).parent
AUTHORITIES = STACKS / "authorities"
"""Certificates of issuing authorities, public data: `<stack>/<authority>.pem`."""

_NAMESPACE = "flotilla:"
_HOME_REGION_KEY = "aws:region"
_DESK_KEYS = frozenset({"flotilla:authorities_directory"})
"""Read by `__main__` alone: the desk keeps its own certificates."""
_PULUMI_KEYS = frozenset({"config", "encryptionsalt", "encryptedkey", "secretsprovider", "environment"})
"""What Pulumi itself keeps in a stack file (Pulumi, stack settings file reference)."""
_PROVIDER_KEYS = frozenset(
    f"aws:{name}"
    for name in (
        "allowedAccountIds",
        "assumeRoles",
        "endpoints",
        "forbiddenAccountIds",
        "maxRetries",
        "profile",
        "s3UsePathStyle",
        "skipCredentialsValidation",
        "skipMetadataApiCheck",
        "skipRegionValidation",
        "skipRequestingAccountId",
    )
)
"""Settings of the AWS provider that say which account and endpoint, never what; no secret among them."""


def available_stacks(directory: Path = STACKS) -> tuple[str, ...]:
    """The stacks that have a file, by name."""
    return tuple(sorted(path.name[len("Pulumi.") : -len(".yaml")] for path in directory.glob("Pulumi.*.yaml")))


def load_environment(stack: str, *, today: date | None, directory: Path = STACKS) -> Environment:
    """The environment of a stack, or `StackError` with every problem of its file.

    `today` decides what has expired, for whoever deploys. Without it nothing has: a pin that ran out must stop the next
    deployment, and never a manufacturing line; nor is it asked then whether AWS has the regions. The other files in
    `directory` are read for their domains only.
    """
    if stack not in available_stacks(directory):
        known = ", ".join(available_stacks(directory)) or "none"
        problem = Problem(
            file=f"Pulumi.{stack}.yaml", rule="there is no such stack file", way_out=f"stacks are: {known}"
        )
        raise StackError([problem])
    source = _Source.of(read_document(directory / f"Pulumi.{stack}.yaml"))
    fields = {"name": stack, **source.fields}
    problems = list(source.problems)
    valid, refused = _parse(fields)
    problems += [source.problem(path, *told) for path, *told in refused]
    known_values = {**valid, "other_domains": _other_domains(stack, directory)}
    if today is not None:
        known_values |= {"today": today, "iot_regions": iot_regions()}
    problems += [source.problem(breach.path, breach.rule, breach.way_out) for breach in judge(known_values)]
    if problems:
        raise StackError(problems)
    return Environment.model_validate(fields)


@dataclass(frozen=True)
class _Source:
    """A stack file taken apart: our fields, how the file spells them, and what does not belong there."""

    document: Document
    fields: Mapping[str, Any]
    spelled: Mapping[str, str]
    problems: tuple[Problem, ...]

    @classmethod
    def of(cls, document: Document) -> "_Source":
        config = document.values.get("config")
        if not isinstance(config, dict):
            line = document.line(("config",))
            told = {"rule": "a stack file has its values under `config`", "way_out": "write the keys below `config:`"}
            raise StackError([Problem(file=document.file, line=line, key="config", **told)])
        spelled = {name: f"{_NAMESPACE}{name}" for name in Environment.model_fields if name != "name"}
        spelled["home_region"] = _HOME_REGION_KEY
        known = {*spelled.values(), *_DESK_KEYS, *_PROVIDER_KEYS}
        problems = [_unknown(document, (key,), _PULUMI_KEYS) for key in document.values if key not in _PULUMI_KEYS]
        offered = known - _DESK_KEYS
        problems += [_unknown(document, ("config", key), offered) for key in config if key not in known]
        fields = {name: config[key] for name, key in spelled.items() if key in config}
        return cls(document, fields, spelled, tuple(problems))

    def problem(self, path: KeyPath, rule: str, way_out: str) -> Problem:
        """A problem with the value at `path` of the environment."""
        key = self.spelled.get(str(path[0]), str(path[0]))
        line = self.document.line(("config", key, *path[1:]))
        return Problem(file=self.document.file, line=line, key=spell((key, *path[1:])), rule=rule, way_out=way_out)


def _unknown(document: Document, path: KeyPath, known: AbstractSet[str]) -> Problem:
    key = str(path[-1])
    rule, way_out = unknown_key(key, known if key.startswith("aws:") else known - _PROVIDER_KEYS)
    return Problem(file=document.file, line=document.line(path), key=key, rule=rule, way_out=way_out)


def _parse(fields: Mapping[str, Any]) -> tuple[dict[str, Any], list[tuple[KeyPath, str, str]]]:
    """The fields that are valid in themselves, parsed; and what is wrong with the others."""
    refused: list[tuple[KeyPath, str, str]] = []
    try:
        Environment.model_validate(fields)
    except ValidationError as error:
        refused = [(place(details), *explain(details)) for details in error.errors()]
    return sound_values(Environment, fields, wrong={path[0] for path, _, _ in refused}), refused


def _other_domains(stack: str, directory: Path) -> dict[str, str]:
    """The domains of the other stacks; a file that cannot be read is that stack's own problem."""
    domains: dict[str, str] = {}
    for other in available_stacks(directory):
        if other == stack:
            continue
        try:
            values = read_document(directory / f"Pulumi.{other}.yaml").values
        except StackError:
            continue
        config = values.get("config")
        domain = config.get(f"{_NAMESPACE}domain") if isinstance(config, dict) else None
        if isinstance(domain, str):
            domains[other] = domain
    return domains
