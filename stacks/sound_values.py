"""What is good in a file of which something is wrong, so that every mistake can be told at once."""

from collections.abc import Collection, Mapping
from functools import cache
from typing import Any

from pydantic import BaseModel, create_model

from stacks.document import Key
from stacks.environment import Frozen


def sound_values(described_by: type[BaseModel], values: Mapping[str, Any], wrong: Collection[Key]) -> dict[str, Any]:
    """The values at the top of a file, parsed, without those in `wrong`."""
    part = _part(described_by, frozenset(wrong))
    parsed = part.model_validate({name: value for name, value in values.items() if name in part.model_fields})
    return {name: getattr(parsed, name) for name in part.model_fields}


@cache
def _part(described_by: type[BaseModel], wrong: frozenset[Key]) -> type[BaseModel]:
    """The same model without some fields; making one takes milliseconds."""
    sound = {name: field for name, field in described_by.model_fields.items() if name not in wrong}
    definitions: dict[str, Any] = {name: (field.annotation, field) for name, field in sound.items()}
    return create_model("Part", __base__=Frozen, **definitions)
