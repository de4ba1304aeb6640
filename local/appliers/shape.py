"""From Pulumi's property names to the AWS API's: mostly a matter of the first letter."""

from collections.abc import Mapping
from typing import Any


def pascal(value: Any, names: Mapping[str, str] | None = None) -> Any:
    """`{"daysAfterInitiation": 7}` as `{"DaysAfterInitiation": 7}`, at every depth; `names` says where it differs."""
    if isinstance(value, Mapping):
        known = names or {}
        return {known.get(key, key[:1].upper() + key[1:]): pascal(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [pascal(item, names) for item in value]
    return value


def chosen(inputs: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The inputs that are given, of those in `names`, under their API names, in API form."""
    return {name: pascal(inputs[key]) for key, name in names.items() if key in inputs}
