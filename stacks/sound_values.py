"""What is good in a file of which something is wrong, so that every mistake can be told at once."""

from collections.abc import Collection, Mapping
from typing import Any

from pydantic import BaseModel, create_model

from stacks.document import Key
from stacks.environment import Frozen


def sound_values(described_by: type[BaseModel], values: Mapping[str, Any], wrong: Collection[Key]) -> dict[str, Any]:
    """The values at the top of a file, parsed, without those in `wrong`."""
    sound = {name: field for name, field in described_by.model_fields.items() if name not in wrong}
    definitions: dict[str, Any] = {name: (field.annotation, field) for name, field in sound.items()}
    part = create_model("Part", __base__=Frozen, **definitions)
    parsed = part.model_validate({name: value for name, value in values.items() if name in sound})
    return {name: getattr(parsed, name) for name in sound}
