"""A pydantic error in plain English: the rule that is broken and the way out, for someone who reads the stack file."""

import difflib
from collections.abc import Collection, Mapping
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from stacks.document import KeyPath
from stacks.environment import Environment
from stacks.grammar import REFUSAL

_KEY_OF_MAPPING = "[key]"
"""What pydantic appends to the place of a mapping's key that is refused."""

_KINDS: Mapping[str, tuple[str, str]] = {
    "string_type": ("a text", "write a text, in quotes if it looks like a number, a date or yes and no"),
    "int_type": ("a whole number", "write a whole number without quotes"),
    "bool_type": ("true or false", "write true or false without quotes"),
    "date_type": ("a date", 'write it in quotes, as "2036-12-31"'),
    "dict_type": ("a mapping of keys to values", "write its keys below it, indented"),
    "model_type": ("a mapping of keys to values", "write its keys below it, indented"),
    "tuple_type": ("a list", "write its items below it, each after a hyphen"),
}
"""pydantic's error types for a value of the wrong kind: what is wanted, and how to write it."""


def place(error: ErrorDetails) -> KeyPath:
    """Where in the file's values the error is."""
    return tuple(part for part in error["loc"] if part != _KEY_OF_MAPPING)


def explain(error: ErrorDetails, described_by: type[BaseModel] = Environment) -> tuple[str, str]:
    """The broken rule and the way out; `described_by` is the type of the whole file."""
    kind, context = error["type"], error.get("ctx", {})
    if kind == REFUSAL:
        return context["rule"], context["way_out"]
    if kind == "value_error":
        return _halves(str(context["error"]))
    if kind in _KINDS:
        wanted, way_out = _KINDS[kind]
        return f"this must be {wanted}, and is {_shown(error['input'])}", way_out
    if kind in ("enum", "literal_error"):
        return f"{_shown(error['input'])} is no choice here", f"write one of {context['expected']}"
    return _key(kind, error, described_by) or _limit(kind, context, error, described_by)


def unknown_key(key: str, known: Collection[str]) -> tuple[str, str]:
    """The rule and way out for a key nobody reads, with the nearest key that somebody does."""
    near = difflib.get_close_matches(key, known, n=1)
    guess = f"did you mean `{near[0]}`? " if near else ""
    return "nothing reads this key", f"{guess}the keys here are {', '.join(sorted(known))}"


def _key(kind: str, error: ErrorDetails, described_by: type[BaseModel]) -> tuple[str, str] | None:
    if kind == "extra_forbidden":
        return unknown_key(str(error["loc"][-1]), _known_keys(place(error)[:-1], described_by))
    if kind == "missing":
        return "this key is missing", f"add it; {_source(described_by)} says what it is for"
    return None


def _limit(
    kind: str, context: Mapping[str, Any], error: ErrorDetails, described_by: type[BaseModel]
) -> tuple[str, str]:
    if kind == "greater_than_equal":
        return f"{error['input']} is too small", f"write at least {context['ge']}"
    if kind == "less_than_equal":
        return f"{error['input']} is too large", f"write at most {context['le']}"
    if kind == "too_short":
        return "this list is empty", "write at least one item"
    if kind == "string_too_short":
        return "this text is empty", "write what a reviewer should read here"
    if kind == "string_too_long":
        long, most = len(str(error["input"])), context["max_length"]
        return f"this text has {long} characters", f"shorten it to {most}"
    return error["msg"], f"{_source(described_by)} says what is allowed here"


def _source(described_by: type[BaseModel]) -> str:
    """The file of a type, for who wants to read it."""
    return f"{described_by.__module__.replace('.', '/')}.py"


def _known_keys(path: KeyPath, described_by: type[BaseModel]) -> Collection[str]:
    """The keys of the mapping at `path` of a file."""
    model = described_by
    for part in path:
        if field := model.model_fields.get(str(part)):
            model = _model_in(field.annotation) or model
    return model.model_fields


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model an annotation is, or holds as in `dict[Label, Cluster]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for part in get_args(annotation) if (model := _model_in(part))), None)


def _halves(message: str) -> tuple[str, str]:
    """A message of `protocol` is "rule; way out" already."""
    rule, _, way_out = message.partition("; ")
    return rule, way_out or "correct it"


def _shown(value: Any) -> str:
    kinds = {dict: "a mapping", list: "a list", type(None): "empty"}
    return kinds.get(type(value), repr(value) if isinstance(value, str) else str(value))
