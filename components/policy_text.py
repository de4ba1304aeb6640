"""From a policy document to the text a resource takes, when what the document names is known only later."""

import json
from collections.abc import Callable
from typing import Any

import pulumi

from components.policies.statement import Document


def policy_text(make: Callable[..., Document], **inputs: Any) -> pulumi.Output[str]:
    """The JSON of `make(**inputs)`, once every input is known."""
    return pulumi.Output.all(**inputs).apply(lambda known: json.dumps(make(**known)))
