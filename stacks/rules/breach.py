"""A rule that an environment breaks."""

from collections.abc import Iterator
from dataclasses import dataclass

from stacks.document import KeyPath


@dataclass(frozen=True)
class Breach:
    """Which value breaks a rule, which rule, and the way out."""

    path: KeyPath
    """Where in the `Environment`, from the field's name on."""
    rule: str
    way_out: str


Breaches = Iterator[Breach]
"""What a rule returns: nothing when it holds."""
