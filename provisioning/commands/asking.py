"""What only a person knows is typed, unseen. Where nobody sits, the command says what to do instead."""

import sys

import typer

from provisioning.errors import RefusedError


def typed(prompt: str) -> str:
    """What a person types."""
    return ask_for(prompt, instead="write pin_file into hsm.yaml")


def ask_for(prompt: str, *, instead: str, is_new: bool = False) -> str:
    """What a person types, twice when it is new; `RefusedError`, with the way out, where there is no terminal."""
    if not sys.stdin.isatty():
        raise RefusedError(f"{prompt}: there is no terminal to type it at; {instead}")
    return str(typer.prompt(prompt, hide_input=True, confirmation_prompt=is_new, err=True))
