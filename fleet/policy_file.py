"""An allocation policy as a file: YAML that is parsed into `fleet.routing.allocation`, or refused line by line.

A policy is a text, which is a cluster, `default` or `keep`, or a mapping of one of these shapes:

    weights: {eu1: 3, eu2: 1}
    residency: {EU: <policy>, …}   with   otherwise: <policy>

and as `residency` also `country`, `model` and `devices`. `otherwise` is for every device that is not named; without it
such a device is kept where it is.
"""

import math
import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from fleet.routing.allocation import ByCountry, ByDevice, ByModel, ByResidency, Fixed, Keep, Policy, Weighted
from fleet.routing.target import InvalidTargetError, Target
from protocol.device_id import InvalidDeviceIdError, parse_device_id
from stacks.document import Document, KeyPath, read_document, spell
from stacks.environment import Residency
from stacks.errors import Problem, StackError

KEEP = "keep"
_OTHERWISE = "otherwise"
_WEIGHTS = "weights"
_COUNTRY = re.compile(r"[A-Z]{2}")
_CHOICES: Mapping[str, Callable[[Mapping[str, Policy], Policy], Policy]] = {
    "residency": ByResidency,
    "country": ByCountry,
    "model": ByModel,
    "devices": ByDevice,
}
_SHAPES = f"`{_WEIGHTS}`, or one of {', '.join(f'`{name}`' for name in _CHOICES)} with `{_OTHERWISE}`"


def read_policy(path: Path, clusters: Collection[str]) -> Policy:
    """The policy in `path`; `StackError` holds everything that is wrong with it. `clusters`: those that there are."""
    document = read_document(path, begins=_WEIGHTS)
    reader = _Reader(document, clusters)
    policy = reader.policy(document.values, ())
    if reader.problems:
        raise StackError(reader.problems)
    return policy


class _Reader:
    """Goes down the document and collects what is wrong; a part that is wrong counts as `keep` meanwhile."""

    def __init__(self, document: Document, clusters: Collection[str]) -> None:
        self.problems: list[Problem] = []
        self._document = document
        self._clusters = clusters

    def policy(self, value: Any, path: KeyPath) -> Policy:
        if isinstance(value, str):
            return self._leaf(value, path)
        if not isinstance(value, Mapping):
            return self._wrong(path, "a policy is a cluster, `default`, `keep` or a mapping", f"write {_SHAPES}")
        named = [name for name in (_WEIGHTS, *_CHOICES) if name in value]
        for unknown in value.keys() - {_WEIGHTS, *_CHOICES, _OTHERWISE}:
            self._wrong((*path, unknown), "no policy has this key", f"write {_SHAPES}")
        if len(named) != 1:
            return self._wrong(path, f"a policy looks at one thing, not at {len(named)}", f"write {_SHAPES}")
        if named == [_WEIGHTS]:
            if _OTHERWISE in value:
                self._wrong((*path, _OTHERWISE), "weights leave no device over", "remove it")
            return self._weighted(value[_WEIGHTS], (*path, _WEIGHTS))
        otherwise = self.policy(value[_OTHERWISE], (*path, _OTHERWISE)) if _OTHERWISE in value else Keep()
        return self._choice(named[0], value[named[0]], otherwise, (*path, named[0]))

    def _leaf(self, text: str, path: KeyPath) -> Policy:
        if text == KEEP:
            return Keep()
        try:
            target = Target.parse(text)
        except InvalidTargetError as error:
            return self._wrong(path, str(error), f"or `{KEEP}`")
        if target.address:
            return self._wrong(path, f"{text} is an address, where only a debug redirect may go", "name a cluster")
        if target.cluster:
            self._check_cluster(target.cluster, path)
        return Fixed(target)

    def _weighted(self, value: Any, path: KeyPath) -> Policy:
        if not isinstance(value, Mapping) or not value:
            return self._wrong(
                path, "weights are a mapping of clusters to numbers", "write it such as {eu1: 3, eu2: 1}"
            )
        for cluster, weight in value.items():
            here = (*path, cluster)
            self._check_cluster(cluster, here)
            is_number = isinstance(weight, int | float) and not isinstance(weight, bool)
            if not is_number or not math.isfinite(weight) or weight <= 0:
                return self._wrong(
                    here, f"the weight {weight!r} is no number above 0", "leave a cluster out to empty it"
                )
        return Weighted(dict(value))

    def _choice(self, name: str, value: Any, otherwise: Policy, path: KeyPath) -> Policy:
        if not isinstance(value, Mapping) or not value:
            return self._wrong(path, f"`{name}` is a mapping to policies", "name at least one")
        policies = {}
        for key, each in value.items():
            here = (*path, key)
            rule = _KEY_RULES[name](key)
            if rule:
                self._wrong(here, rule, "correct the key")
            policies[key] = self.policy(each, here)
        return _CHOICES[name](policies, otherwise)

    def _check_cluster(self, cluster: str, path: KeyPath) -> None:
        if cluster not in self._clusters:
            self._wrong(path, f"there is no cluster {cluster}", f"name one of {', '.join(sorted(self._clusters))}")

    def _wrong(self, path: KeyPath, rule: str, way_out: str) -> Policy:
        document = self._document
        self.problems.append(
            Problem(file=document.file, line=document.line(path), key=spell(path), rule=rule, way_out=way_out)
        )
        return Keep()


def _wrong_residency(key: str) -> str:
    known = ", ".join(Residency)
    return "" if key in set(Residency) else f"{key!r} is no residency; there are {known}"


def _wrong_country(key: str) -> str:
    return "" if _COUNTRY.fullmatch(key) else f"{key!r} is no country code (ISO 3166-1 alpha-2, such as DE)"


def _wrong_model(key: str) -> str:
    return "" if key else "a model has a name"


def _wrong_device(key: str) -> str:
    try:
        parse_device_id(key)
    except InvalidDeviceIdError as error:
        return str(error)
    return ""


_KEY_RULES: Mapping[str, Callable[[str], str]] = {
    "residency": _wrong_residency,
    "country": _wrong_country,
    "model": _wrong_model,
    "devices": _wrong_device,
}
