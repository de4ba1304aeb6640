"""What a plan file holds: a program's resources as text that stays the same until the program's meaning changes.

Resources stand in the order of the component tree, keys in the order of the alphabet. JSON documents inside inputs
are shown as structures, so that a diff shows a statement and not a line of a thousand characters.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from local.registration import Registration, Resource
from local.wire import UNKNOWN

SECRET = "${secret}"  # noqa: S105  # what stands in place of one
UNKNOWN_REFERENCE = "${unknown}"
"""Stands for an output that has no text form, such as a number only a deployment can know."""

HEADER = """\
# What `pulumi up` makes of stack {stack}. Rendered from the program by `make plan`, held up to date by `make check`;
# do not edit. ${{name.output}} is known only after deployment; JSON inside inputs is shown as a structure.
"""
OPTIONS = {
    "protect": "protect",
    "retain_on_delete": "retain_on_delete",
    "delete_before_replace": "delete_before_replace",
    "ignore_changes": "ignore_changes",
    "replace_on_changes": "replace_on_changes",
    "provider": "provider",
}


class _Dumper(yaml.SafeDumper):
    """Block style, no aliases, texts of several lines as such."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  # the base class passes it
        """Write every value out, where it stands."""
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _represent_text)


def plan_text(stack: str, resources: tuple[Resource, ...], exports: Mapping[str, Any], *, project_root: Path) -> str:
    """The whole plan file of a stack."""
    document = {
        "stack": stack,
        "exports": readable(dict(exports), project_root),
        "resources": plan_entries([resource.registration for resource in resources], project_root=project_root),
    }
    return HEADER.format(stack=stack) + yaml.dump(
        document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=math.inf
    )


def plan_entries(registrations: list[Registration], *, project_root: Path) -> list[dict[str, Any]]:
    """One entry a resource, a component before its children."""
    by_urn = {registration.urn: registration for registration in registrations}

    def path(registration: Registration) -> tuple[str, ...]:
        parent = by_urn.get(registration.parent or "")
        return (*(path(parent) if parent else ()), registration.name)

    ordered = sorted(registrations, key=lambda one: (path(one), one.type))
    return [_entry(one, path(one)[:-1], by_urn, project_root) for one in ordered]


def readable(value: Any, project_root: Path) -> Any:
    """A value as a reviewer reads it: sorted, JSON opened, unknowns and paths of this machine replaced."""
    if isinstance(value, Mapping):
        return {str(key): readable(value[key], project_root) for key in sorted(value, key=str)}
    if isinstance(value, list | tuple):
        return [readable(item, project_root) for item in value]
    if not isinstance(value, str):
        return value
    if value == UNKNOWN:
        return UNKNOWN_REFERENCE
    opened = _json_document(value)
    return readable(opened, project_root) if opened is not None else value.replace(f"{project_root}/", "")


def _entry(
    registration: Registration, parents: tuple[str, ...], by_urn: Mapping[str, Registration], project_root: Path
) -> dict[str, Any]:
    inputs = {
        name: SECRET if name in registration.secrets else readable(registration.inputs[name], project_root)
        for name in sorted(registration.inputs)
        if name != "region"
    }
    entry = {
        "name": registration.name,
        "type": registration.type,
        "parent": "/".join(parents),
        "region": registration.region,
        "options": _options(registration, by_urn),
        "inputs": inputs,
    }
    return {key: value for key, value in entry.items() if value}


def _options(registration: Registration, by_urn: Mapping[str, Registration]) -> dict[str, Any]:
    """What was asked for beyond the inputs. Waiting that inputs imply already is left out."""
    implied = {urn for urns in registration.property_dependencies.values() for urn in urns}
    waits = sorted(by_urn[urn].name for urn in registration.dependencies if urn not in implied and urn in by_urn)
    asked = {key: getattr(registration, attribute) for key, attribute in OPTIONS.items()}
    options = {"depends_on": waits} | asked
    return {key: list(value) if isinstance(value, tuple) else value for key, value in options.items() if value}


def _json_document(text: str) -> dict[str, Any] | list[Any] | None:
    """The document in a JSON text; None when the text is something else."""
    if not text.startswith(("{", "[")):
        return None
    try:
        document = json.loads(text)
    except ValueError:
        return None
    return document if isinstance(document, dict | list) else None
