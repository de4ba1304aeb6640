"""What every command works out again at its start, worked out once for all commands of this process.

A person starts a command and its process together; the tests start some thousand commands in one process. Both parts
are pure: the options, from the signatures of functions, and a YAML text's values, from the text.
"""

from functools import cache, lru_cache

import typer.testing

import stacks.document

MOST_DOCUMENTS = 256


def work_out_once() -> None:
    """From here on, in this process."""
    _put(typer.testing, "_get_command", cache(typer.main.get_command))
    _put(stacks.document, "parse_document", lru_cache(MOST_DOCUMENTS)(stacks.document.parse_document))


def _put(owner: object, name: str, replacement: object) -> None:
    setattr(owner, name, replacement)
